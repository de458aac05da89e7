package faultnet

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// link is one connection of a network. Whoever changes it under its mutex calls wake.
type link struct {
	network *Network
	server  net.Conn
	client  net.Conn // nil if the client's end is a conn

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	rules    Rules
	flows    [2]flow
	begun    bool  // Rules.After was true
	halfOpen bool  // by HalfOpen
	left     bool  // the client has closed its conn
	over     error // what a read says when everything is closed; nil before that
}

func newLink(n *Network, server, client net.Conn) *link {
	return &link{network: n, server: server, client: client, changed: make(chan struct{})}
}

// wait lets others change the link, and returns when they have or it is time (zero: never).
func (l *link) wait(until time.Time) {
	changed := l.changed
	l.mu.Unlock()
	defer l.mu.Lock()
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-due:
	}
}

func (l *link) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// send takes what one end has sent under the faults of its direction.
func (l *link) send(d direction, b []byte) {
	f, faults := &l.flows[d], l.rules.of(d)
	dice := f.throw()
	if d == requests && l.rules.After != nil && !l.begun {
		l.begun = l.rules.After(b)
	}
	begun := l.begun || l.rules.After == nil
	switch {
	case l.over != nil, d == replies && l.left && !l.halfOpen:
		return
	case begun && !f.lost && !l.halfOpen && dice.lose < faults.Lose:
		f.lost = true
		l.count(d, func(t *Traffic) { t.Lost++ })
	}
	if f.lost || l.halfOpen {
		l.count(d, func(t *Traffic) { t.LostBytes += len(b) })
		return
	}
	c, delay := chunk{bytes: slices.Clone(b)}, time.Duration(0)
	if begun {
		if dice.reset < faults.Reset {
			c = chunk{kind: rst, fault: true}
		}
		if delay = faults.delay(dice); delay > 0 {
			l.count(d, func(t *Traffic) { t.Late++ })
		}
	}
	f.push(c, delay)
	l.holdBack(d)
	l.wake()
}

// finish takes that one end has closed (fin) or is broken (rst).
func (l *link) finish(d direction, how kind) {
	f := &l.flows[d]
	if l.over != nil || how <= f.ended {
		return
	}
	f.ended = how
	if !f.lost && !l.halfOpen {
		f.push(chunk{kind: how}, max(l.rules.of(d).Latency, 0))
		l.holdBack(d)
	}
	l.wake()
	l.settle()
}

// holdBack counts what waits for the end of a stall, each chunk once.
func (l *link) holdBack(d direction) {
	if !l.rules.of(d).Stall {
		return
	}
	queue := l.flows[d].queue
	for i := range queue {
		if !queue[i].held {
			queue[i].held = true
			l.count(d, func(t *Traffic) { t.Stalled++ })
		}
	}
}

// arrive returns up to most bytes that have arrived. If there are none, the link may have ended,
// or this direction of it, or again is the time to look again (zero: after a change).
func (l *link) arrive(d direction, most int) (b []byte, again time.Time) {
	f := &l.flows[d]
	if len(f.queue) == 0 || l.rules.of(d).Stall {
		return nil, time.Time{}
	}
	first := f.queue[0]
	if first.due.After(time.Now()) {
		return nil, first.due
	}
	switch first.kind {
	case fin:
		f.queue = f.queue[1:]
		f.delivered = true
		l.closeWrite(d)
		l.settle()
		return nil, time.Time{}
	case rst:
		if first.fault {
			l.count(d, func(t *Traffic) { t.Resets++ })
		}
		l.end(syscall.ECONNRESET)
		return nil, time.Time{}
	}
	b, whole := f.take(most)
	l.count(d, func(t *Traffic) {
		t.Bytes += len(b)
		if whole {
			t.Chunks++
		}
	})
	l.wake() // there is room in the window
	return b, time.Time{}
}

// closeWrite tells the receiving end that nothing more comes.
func (l *link) closeWrite(d direction) {
	to := l.server
	if d == replies {
		to = l.client
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok && !l.left {
		_ = c.CloseWrite() // it fails if that end is broken, which the reading side notices
	}
}

// settle closes everything when nothing more can arrive in either direction, or when the client has
// given up. The server of a half-open connection does not learn of that.
func (l *link) settle() {
	silent := func(f *flow) bool { return f.delivered || f.ended != data && (f.lost || l.halfOpen) }
	there, back := &l.flows[requests], &l.flows[replies]
	gaveUp := there.ended != data && there.lost || there.delivered && l.left
	if silent(there) && silent(back) || gaveUp && !l.halfOpen {
		l.end(io.EOF)
	}
}

// end closes both ends at once and reports whether they were open.
func (l *link) end(why error) bool {
	if l.over != nil {
		return false
	}
	l.over = why
	for d := range l.flows {
		l.flows[d].drop()
	}
	for _, c := range []net.Conn{l.server, l.client} {
		if c == nil {
			continue
		}
		if c, ok := c.(*net.TCPConn); ok && errors.Is(why, syscall.ECONNRESET) {
			_ = c.SetLinger(0) // it fails if that end is broken, and then there is nobody to tell
		}
		c.Close()
	}
	l.network.leave(l)
	l.wake()
	return true
}

// obey puts new rules into force.
func (l *link) obey(r Rules) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = r
	switch {
	case l.over != nil:
		return
	case r.Cut:
		l.end(io.EOF)
		l.network.count(func(c *Counts) { c.Cut++ })
		return
	case r.HalfOpen && !l.halfOpen:
		l.halfOpen = true
		l.network.count(func(c *Counts) { c.HalfOpen++ })
		for d := range l.flows {
			lost := l.flows[d].drop()
			l.count(direction(d), func(t *Traffic) { t.LostBytes += lost })
		}
		l.settle()
	}
	l.holdBack(requests)
	l.holdBack(replies)
	l.wake()
}

// reset ends the link with a reset and reports whether it was open.
func (l *link) reset() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.end(syscall.ECONNRESET) {
		return false
	}
	l.network.count(func(c *Counts) { c.Reset++ })
	return true
}

// close ends the link with its network.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(net.ErrClosed)
}

func (l *link) count(d direction, change func(*Traffic)) {
	l.network.count(func(c *Counts) { change(c.of(d)) })
}
