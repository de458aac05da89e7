package faultnet

import (
	"errors"
	"io"
	"net"
)

const bufferSize = 32 << 10

// fill sends what comes from one end, until that ends.
func (l *link) fill(d direction, from net.Conn) {
	buf := make([]byte, bufferSize)
	for {
		n, err := from.Read(buf)
		if !l.filled(d, buf[:n], err) {
			return
		}
	}
}

func (l *link) filled(d direction, b []byte, err error) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.over == nil && !l.flows[d].fits(len(b)) {
		l.wait(noDeadline)
	}
	if len(b) > 0 {
		l.send(d, b)
	}
	switch {
	case errors.Is(err, io.EOF):
		l.finish(d, fin)
	case err != nil:
		l.finish(d, rst)
	}
	return err == nil && l.over == nil
}

// drain writes what arrives to one end, until no more can.
func (l *link) drain(d direction, to net.Conn) {
	for {
		b, more := l.drained(d)
		if !more {
			return
		}
		if _, err := to.Write(b); err != nil {
			l.mu.Lock()
			l.finish(d.opposite(), rst) // that end is broken, and what still arrives goes nowhere
			l.mu.Unlock()
		}
	}
}

// drained returns what has arrived, and waits for it.
func (l *link) drained(d direction) (b []byte, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		b, again := l.arrive(d, window)
		if b != nil {
			return b, true
		}
		if l.over != nil {
			return nil, false
		}
		l.wait(again) // after a fin as well: an rst may follow
	}
}
