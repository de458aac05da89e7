package redisbackend

import (
	"context"
	"testing"
	"time"
)

func TestClockKeepsTheTighterReference(t *testing.T) {
	var c clock
	if c.known() || c.left(1) != 0 {
		t.Error("the zero clock knows something")
	}
	if _, ok := c.until(1, 2); ok {
		t.Error("a grant is judged without a reference")
	}
	t0 := time.Now()
	at := t0.Add
	const s = int64(1_000_000)
	bound := func(d time.Duration) time.Duration {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.bound(at(d)) - time.Duration(s)*time.Millisecond
	}
	c.observe(at(0), at(100*time.Millisecond), s+50) // round trip 100 ms
	if got := bound(0); got != 51*time.Millisecond {
		t.Errorf("first: %v", got)
	}
	c.observe(at(0), at(time.Second), s+60) // same time sent, read later: looser
	if got := bound(0); got != 51*time.Millisecond {
		t.Errorf("looser: %v", got)
	}
	c.observe(at(200*time.Millisecond), at(202*time.Millisecond), s+201) // tighter
	if got := bound(200 * time.Millisecond); got != 202*time.Millisecond {
		t.Errorf("tighter: %v", got)
	}
	c.observe(at(0), at(300*time.Millisecond), s+50) // a late answer to an early request
	if got := bound(200 * time.Millisecond); got != 202*time.Millisecond {
		t.Errorf("late answer: %v", got)
	}
	if got := bound(1200 * time.Millisecond); got != 1203*time.Millisecond {
		t.Errorf("after a second, with drift: %v", got)
	}
	c.observe(at(400*time.Millisecond), at(401*time.Millisecond), s+5000) // a step forward
	if got := bound(400 * time.Millisecond); got != 5001*time.Millisecond {
		t.Errorf("forward: %v", got)
	}
	c.observe(at(500*time.Millisecond), at(501*time.Millisecond), s-5000) // a step back
	if got := bound(500 * time.Millisecond); got != -4999*time.Millisecond {
		t.Errorf("back: %v", got)
	}
}

func TestNotAfter(t *testing.T) {
	var c clock
	now := time.Now()
	c.reset(now, 1_000_000)
	ctx, cancel := context.WithDeadline(context.Background(), now.Add(10*time.Second))
	defer cancel()
	at := c.notAfter(ctx)
	if at < 1_010_000 || at > 1_010_050 {
		t.Errorf("notAfter = %d", at)
	}
	short, cancel := context.WithDeadline(context.Background(), now.Add(time.Second))
	defer cancel()
	if c.notAfter(short) >= at || c.tombstoneUntil() != at {
		t.Error("the largest is not kept")
	}
	if open := c.notAfter(context.Background()); open < at+45_000 || c.tombstoneUntil() != open {
		t.Errorf("without a deadline: %d", open)
	}
}

// A pushed grant counts from the reference, however late the message comes.
func TestPushIsJudgedByTheReference(t *testing.T) {
	var c clock
	t0 := time.Now().Add(-10 * time.Second)
	c.reset(t0, 1_000_000) // the server's clock reads about 1_010_000 now
	until, ok := c.until(1_009_000, 1_012_000)
	if !ok {
		t.Fatal("a good grant is refused")
	}
	// From s+1ms to e at the fastest server clock allowed: 11 999 ms, less one in a thousand.
	if got := until.Sub(t0); got > 11_999*time.Millisecond*1000/1001 || got < 11_980*time.Millisecond {
		t.Errorf("valid until %v", got)
	}
	if _, ok := c.until(1_000_500, 1_003_500); ok {
		t.Error("a grant whose window has passed is accepted")
	}
	if _, ok := c.until(1_011_000, 1_020_000); ok {
		t.Error("a grant of the future, so of another clock, is accepted")
	}
}
