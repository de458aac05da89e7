package faultnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// noDeadline is the instant that never comes, as in [net.Conn].
var noDeadline time.Time

// conn is the client's end of a link that was dialled or wrapped.
type conn struct {
	link *link

	// Guarded by the mutex of the link.
	readDeadline, writeDeadline time.Time
}

// Read reads what has arrived.
func (c *conn) Read(b []byte) (int, error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := c.unusable(c.readDeadline); err != nil {
			return 0, c.failed("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		got, again := l.arrive(replies, len(b))
		switch {
		case got != nil:
			return copy(b, got), nil
		case errors.Is(l.over, io.EOF), l.over == nil && l.flows[replies].delivered:
			return 0, io.EOF
		case l.over != nil:
			return 0, c.failed("read", l.over)
		}
		l.wait(earlier(again, c.readDeadline))
	}
}

// Write sends b as one chunk. It returns before that has arrived.
func (c *conn) Write(b []byte) (int, error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := c.unusable(c.writeDeadline); err != nil {
			return 0, c.failed("write", err)
		}
		if q := l.flows[replies].queue; len(q) > 0 && q[0].kind == rst {
			l.arrive(replies, 0) // who only writes is told of it too
		}
		switch {
		case errors.Is(l.over, io.EOF):
			return 0, c.failed("write", syscall.EPIPE)
		case l.over != nil:
			return 0, c.failed("write", l.over)
		case len(b) == 0:
			return 0, nil
		case l.flows[requests].fits(len(b)):
			l.send(requests, b)
			return len(b), nil
		}
		l.wait(c.writeDeadline)
	}
}

// Close lets what was written arrive, as far as faults allow, and does not wait for it.
func (c *conn) Close() error {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left {
		return c.failed("close", net.ErrClosed)
	}
	l.left = true
	l.flows[replies].drop()
	l.finish(requests, fin)
	return nil
}

// unusable returns why an operation with this deadline cannot begin, or nil.
func (c *conn) unusable(deadline time.Time) error {
	switch {
	case c.link.left:
		return net.ErrClosed
	case !deadline.IsZero() && !deadline.After(time.Now()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// failed returns err as the connections of package net do.
func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// earlier returns the earlier of two instants, of which zero is the last.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// LocalAddr is that of the connection underneath.
func (c *conn) LocalAddr() net.Addr { return c.link.server.LocalAddr() }

// RemoteAddr is that of the connection underneath.
func (c *conn) RemoteAddr() net.Addr { return c.link.server.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(func() { c.readDeadline, c.writeDeadline = t, t })
}

// SetReadDeadline ends reads, those that wait included, at t.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(func() { c.readDeadline = t })
}

// SetWriteDeadline ends writes, those that wait included, at t.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(func() { c.writeDeadline = t })
}

func (c *conn) setDeadlines(set func()) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.link.left {
		return c.failed("set", net.ErrClosed)
	}
	set()
	c.link.wake()
	return nil
}
