package redisbackend

import (
	"context"
	"sync"
	"time"
)

const (
	// drift is the inverse of the largest relative error of the local monotonic clock against the
	// server's clock: one in a thousand.
	drift = 1000

	// openEnd stands for the deadline of a ctx that has none.
	openEnd = time.Minute
)

// clock bounds the server's clock from above. It keeps one reference: at the local instant t0,
// before some request was sent, the server's clock read at most s, because the answer carries a
// reading s that was taken later. So at the local instant t it reads at most
//
//	U(t) = s + (t-t0)(1 + 1/drift)
//
// as long as it does not step. Readings are in whole milliseconds; s is the end of that
// millisecond. The zero value has no reference.
type clock struct {
	mu     sync.Mutex
	t0     time.Time
	s      time.Duration // since 1970
	latest int64         // largest notAfter handed out, ms since 1970
}

// bound returns U(t). The caller holds the lock and has seen that there is a reference.
func (c *clock) bound(t time.Time) time.Duration {
	d := t.Sub(c.t0)
	return c.s + d + d/drift
}

func (c *clock) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.t0.IsZero()
}

// observe learns from a request sent at t0 and answered before t1 with the reading now (ms). Of
// two references the tighter one is kept. One that a later reading contradicts is replaced: the
// server's clock has stepped forward. A step back gives a tighter one.
func (c *clock) observe(t0, t1 time.Time, now int64) {
	read := time.Duration(now) * time.Millisecond
	end := read + time.Millisecond
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.t0.IsZero() {
		old, d := c.bound(t1), t1.Sub(t0)
		if end+d+d/drift >= old && read <= old {
			return
		}
	}
	c.t0, c.s = t0, end
}

// reset replaces the reference, tighter or not.
func (c *clock) reset(t0 time.Time, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t0, c.s = t0, time.Duration(now+1)*time.Millisecond
}

// notAfter returns the server time (ms) from which on an acquire sent now under ctx must not be
// executed any more.
func (c *clock) notAfter(ctx context.Context) int64 {
	now := time.Now()
	left := openEnd
	if deadline, ok := ctx.Deadline(); ok {
		left = deadline.Sub(now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := int64((c.bound(now) + left) / time.Millisecond)
	c.latest = max(c.latest, at)
	return at
}

// tombstoneUntil returns the largest notAfter ever handed out: no copy of any acquire of this
// backend is executed after it. If the server's clock stepped back since, it lies that much
// further ahead, and tombstones live that much longer.
func (c *clock) tombstoneUntil() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest
}

// until translates a pushed grant, made at server time now and valid until e (ms), into the local
// instant up to which it is valid for certain. It reports false if there is no reference or the
// reference cannot be of the clock that made the grant.
func (c *clock) until(now, e int64) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.t0.IsZero() {
		return time.Time{}, false
	}
	local := time.Now()
	if time.Duration(now)*time.Millisecond > c.bound(local) || suspended(c.t0, local) {
		return time.Time{}, false
	}
	left := time.Duration(e)*time.Millisecond - c.s
	until := c.t0.Add(left - left/drift)
	return until, until.After(local)
}

// suspended reports whether the machine slept between two instants, or its wall clock was stepped
// forward: the wall clock then moved on while the monotonic one stood, and the bound is too low.
func suspended(from, to time.Time) bool {
	return to.Round(0).Sub(from.Round(0))-to.Sub(from) > time.Second
}

// left bounds the time to the server time e (ms) from below; zero if that has passed or nothing
// is known of the server's clock.
func (c *clock) left(e int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.t0.IsZero() {
		return 0
	}
	return max(0, time.Duration(e)*time.Millisecond-c.bound(time.Now()))
}
