package lockfaults

import (
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/lock"
)

// liveness is the longest that a waiter waits once all holders have stopped: the TTL, the claim
// window of one dead waiter, two heartbeats with their jitter.
func liveness(ttl, window time.Duration) time.Duration {
	heartbeat := ttl / 3
	return ttl + window + 2*heartbeat*12/10
}

func TestKilledHolderIsFollowedAfterItsTTL(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second // and so the window
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	c := startChild(t, roleHolder, server.Addr(), ttl)
	token := holds(t, c)
	next := p.later(t, childKey)

	c.Signal(os.Kill)
	killed := time.Now()
	if err := c.End(); err == nil {
		t.Error("the holder ended in good order")
	}
	asked := time.Now()
	s := p.inspect(t, childKey)
	if s.Holder == nil || s.Holder.Token != token {
		t.Fatalf("state %+v, want the dead holder with token %v", s.Holder, token)
	}
	least := asked.Add(s.Holder.Left - 2*time.Millisecond) // in whole milliseconds, on another clock

	g := await(t, next)
	if g.at.Before(least) {
		t.Errorf("granted %v after the death, the dead holder had %v left", g.at.Sub(killed), s.Holder.Left)
	}
	if d := g.at.Sub(killed); d > liveness(ttl, ttl)+slack {
		t.Errorf("granted %v after the death, want at most %v", d, liveness(ttl, ttl))
	}
	if g.Token() <= token {
		t.Errorf("token %v after %v", g.Token(), token)
	}
	release(t, g.Lease)
	t.Logf("granted %v after the death of a holder with %v left of %v (bound %v)",
		round(g.at.Sub(killed)), s.Holder.Left, ttl, round(liveness(ttl, ttl)))
}

func TestPausedHolderIsFencedOut(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), nil)
	c := startChild(t, roleHolder, server.Addr(), ttl)
	token := holds(t, c)
	c.Tell("guarded")
	if got := c.Says("fenced"); got != "false <nil>" {
		t.Fatalf("the holder's own write: %s", got)
	}

	c.Signal(syscall.SIGSTOP)
	paused := time.Now()
	g := await(t, p.later(t, childKey))
	t.Logf("taken over %v after the holder was paused", round(g.at.Sub(paused)))
	if g.Token() <= token {
		t.Errorf("token %v after %v", g.Token(), token)
	}
	ctx := t.Context()
	if err := p.be.Guard().Raise(ctx, childData, g.Token()); err != nil {
		t.Fatal(err)
	}
	if err := p.be.Guard().Set(ctx, childData, g.Token(), "ours", 0); err != nil {
		t.Fatal(err)
	}

	c.Signal(syscall.SIGCONT)
	c.Tell("look")
	if got := c.Says("valid"); got != "false" {
		t.Error("the paused holder believes in its lease")
	}
	cause := c.Says("lost")
	if cause != lock.Expired.String() && cause != lock.Unreachable.String() {
		t.Errorf("cause %q, want expired or unreachable", cause)
	}
	c.Tell("guarded")
	got := c.Says("fenced")
	if want := "true "; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("the late guarded write: %s, want it fenced", got)
	}
	if v := p.client.Get(ctx, childData).Val(); v != "ours" {
		t.Errorf("the data is %q", v)
	}
	t.Logf("cause %s, late write: %s", cause, got)

	// The same write without the token is what the fence is there for.
	c.Tell("bare")
	if got := c.Says("written"); got != "<nil>" {
		t.Fatal(got)
	}
	if v := p.client.Get(ctx, childData).Val(); v != "child, bare" {
		t.Errorf("the data is %q: an unguarded late write should have destroyed it", v)
	}
	if !g.Valid(0) {
		t.Errorf("the new holder was lost meanwhile")
	}
	release(t, g.Lease)
}

func TestTerminatedHolderHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	const ttl = time.Minute
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	c := startChild(t, roleHolder, server.Addr(), ttl)
	token := holds(t, c)
	next := p.later(t, childKey)
	asked := time.Now()
	c.Signal(syscall.SIGTERM)
	g := await(t, next)
	if got := c.Says("released"); got != "<nil>" {
		t.Errorf("release: %s", got)
	}
	if err := c.End(); err != nil {
		t.Errorf("the holder ended with %v", err)
	}
	if d := g.at.Sub(asked); d > slack {
		t.Errorf("handed over after %v", d)
	}
	if g.Token() <= token {
		t.Errorf("token %v after %v", g.Token(), token)
	}
	release(t, g.Lease)
	t.Logf("handed over %v after the signal", round(g.at.Sub(asked)))
}

func TestTwoProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), nil)
	if err := p.client.Set(t.Context(), childData, 0, 0).Err(); err != nil {
		t.Fatal(err)
	}
	children := []*child.Child{
		startChild(t, roleCounter, server.Addr(), eventually),
		startChild(t, roleCounter, server.Addr(), eventually),
	}
	for _, c := range children {
		c.Says(counterReady)
	}
	start := time.Now()
	for _, c := range children {
		c.Tell("begin")
	}
	who := make(map[fence.Token]int)
	for i, c := range children {
		var last fence.Token
		for range childCounts {
			token := holds(t, c)
			if token <= last {
				t.Errorf("process %d: token %v after %v", i, token, last)
			}
			if _, twice := who[token]; twice {
				t.Errorf("token %v was issued twice", token)
			}
			last, who[token] = token, i
		}
		if err := c.End(); err != nil {
			t.Errorf("process %d ended with %v", i, err)
		}
	}
	took := time.Since(start)
	if n, err := p.client.Get(t.Context(), childData).Int(); err != nil || n != len(children)*childCounts {
		t.Errorf("the counter is %d (%v) after %d additions", n, err, len(children)*childCounts)
	}
	turns, last := 0, -1
	for _, token := range slices.Sorted(maps.Keys(who)) {
		if who[token] != last {
			turns, last = turns+1, who[token]
		}
	}
	if turns < 3 {
		t.Errorf("%d turns: the processes did not compete", turns)
	}
	t.Logf("%d additions, %d turns, in %v", len(who), turns, round(took))
}
