package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

// audience is one call of Observe, and what it was told.
type audience struct {
	mu   sync.Mutex
	told []lease.Change
}

func observing(t *testing.T, be *Backend, key string) *audience {
	t.Helper()
	a := &audience{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = be.Leases().Observe(ctx, key, func(c lease.Change) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.told = append(a.told, c)
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	a.hears(t, "gap")
	return a
}

// list is what was told, each change in a word and a token.
func (a *audience) list() (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.told {
		switch c.Kind {
		case lease.ChangeGap:
			list = append(list, "gap")
		case lease.ChangeSeated:
			list = append(list, fmt.Sprint("seated ", c.Party.Token))
		case lease.ChangeEnded:
			list = append(list, fmt.Sprint("ended ", c.Party.Token))
		case lease.ChangeMeta:
			list = append(list, fmt.Sprint("meta ", c.Party.Token, " ", string(c.Party.Meta)))
		}
	}
	return list
}

// hears waits for exactly these changes.
func (a *audience) hears(t *testing.T, want ...string) {
	t.Helper()
	for give := time.Now().Add(15 * time.Second); ; time.Sleep(time.Millisecond) {
		got := a.list()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(give) || len(got) > len(want) {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
}

func announced(priority int) lease.Claim {
	c := ranked(priority)
	c.Announce = true
	return c
}

func seatedBy(token uint64) string { return fmt.Sprint("seated ", token) }
func endedBy(token uint64) string  { return fmt.Sprint("ended ", token) }

// A watch that was lost goes on where it was: nothing is missed, and there is no gap.
func TestObserverGoesOn(t *testing.T) {
	be, relays := processes(t, 2)
	a := observing(t, be[0], "k")
	c, quiet := announced(0), wish("k")
	first := acquire(t, be[1], c, lease.Granted).Token
	a.hears(t, "gap", seatedBy(first))
	mend := relays[0].cut()
	release(t, be[1], c, lease.WasHeld)
	acquire(t, be[1], quiet, lease.Granted) // observers are not told of it
	release(t, be[1], quiet, lease.WasHeld)
	c = announced(3)
	second := acquire(t, be[1], c, lease.Granted).Token
	mend()
	a.hears(t, "gap", seatedBy(first), endedBy(first), seatedBy(second))
	release(t, be[1], c, lease.WasHeld)
	a.hears(t, "gap", seatedBy(first), endedBy(first), seatedBy(second), endedBy(second))
}

// What was missed is compacted away: that is a gap, and what comes after it is told.
func TestObserverMissesSomething(t *testing.T) {
	be, relays := processes(t, 2)
	a := observing(t, be[0], "k")
	c := announced(0)
	first := acquire(t, be[1], c, lease.Granted).Token
	a.hears(t, "gap", seatedBy(first))
	mend := relays[0].cut()
	release(t, be[1], c, lease.WasHeld)
	c = announced(0)
	second := acquire(t, be[1], c, lease.Granted).Token
	compact(t, relays[1].Client)
	mend()
	a.hears(t, "gap", seatedBy(first), "gap", "gap") // it is known to be lost, and it listens again
	release(t, be[1], c, lease.WasHeld)
	a.hears(t, "gap", seatedBy(first), "gap", "gap", endedBy(second))
}

// A member that says nothing is left for another one, and until that is known there is a gap.
func TestObserverOfASilentMember(t *testing.T) {
	be, relays := processes(t, 2)
	be[0].hub.pace = pace{every: 100 * time.Millisecond, wait: 300 * time.Millisecond}
	a := observing(t, be[0], "k")
	relays[0].mu.Lock()
	relays[0].mute = true
	relays[0].mu.Unlock()
	eventually(t, "the silence is told", func() bool { return len(a.list()) > 1 })
	relays[0].mu.Lock()
	relays[0].mute = false
	relays[0].mu.Unlock()
	eventually(t, "it listens", func() bool {
		c := announced(0)
		token := acquire(t, be[1], c, lease.Granted).Token
		release(t, be[1], c, lease.WasHeld)
		return slices.Contains(a.list(), endedBy(token))
	})
}

// An observer follows hand-overs by name, by priority and after a death, and what leaders proclaim. A
// claim that waits is not told of, and neither is one that the seat has passed.
func TestObserverOfHandOvers(t *testing.T) {
	be, _ := processes(t, 4)
	a := observing(t, be[3], "k")
	low, mid, high := announced(0), announced(1), announced(2)
	told := []<-chan lease.Event{events(t, be[0], low), events(t, be[1], mid), events(t, be[2], high)}
	want := []string{"gap"}
	g := acquire(t, be[0], low, lease.Granted).Token
	want = append(want, seatedBy(g))
	acquire(t, be[1], mid, lease.Queued)
	acquire(t, be[2], high, lease.Queued)
	a.hears(t, want...)

	transfer(t, be[0], low, mid.Attempt, lease.WasHeld)
	want = append(want, endedBy(g))
	g = next(t, told[1], lease.EventGranted).Token
	want = append(want, seatedBy(g))
	for _, m := range []struct {
		be *Backend
		c  lease.Claim
	}{{be[1], mid}, {be[2], high}} {
		item := lease.Renewal{Key: "k", Attempt: m.c.Attempt, TTL: m.c.TTL, MetaSeq: 1, Meta: []byte("new")}
		if r := m.be.Leases().Renew(within(t, 5*time.Second), []lease.Renewal{item}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	want = append(want, fmt.Sprint("meta ", g, " new"))
	a.hears(t, want...)
	last := announced(-1)
	lastTold := events(t, be[0], last)
	acquire(t, be[0], last, lease.Queued)
	die(t, be[1], mid)
	want = append(want, endedBy(g))
	g = next(t, told[2], lease.EventGranted).Token
	want = append(want, seatedBy(g))
	a.hears(t, want...)
	release(t, be[2], high, lease.WasHeld)
	want = append(want, endedBy(g), seatedBy(next(t, lastTold, lease.EventGranted).Token))
	a.hears(t, want...)
}

// Members come and go by the hundred; the observer sends one request in all.
func TestObserverOfManyMembers(t *testing.T) {
	be, relays := processes(t, 2)
	a := observing(t, be[0], "k")
	if n := relays[0].take(); n.txns != 1 {
		t.Errorf("%+v to begin", n)
	}
	const many = 500
	var want []string
	for i := range many {
		c := share("k", 1, 0, 0)
		c.Announce = true
		token := acquire(t, be[1], c, lease.Granted).Token
		want = append(want, seatedBy(token))
		if i%5 == 0 {
			release(t, be[1], c, lease.WasHeld)
			want = append(want, endedBy(token))
		}
	}
	a.hears(t, append([]string{"gap"}, want...)...)
	if n := relays[0].take(); n != (counts{}) {
		t.Errorf("%+v while it listened", n)
	}
	parts, left := 0, 0
	for cursor, more := "", true; more; parts++ {
		part, next, err := be[0].Leases().Seats(within(t, 5*time.Second), "k", cursor)
		if err != nil {
			t.Fatal(err)
		}
		left += len(part)
		cursor, more = next, next != ""
	}
	if left != many*4/5 || parts != 1 {
		t.Errorf("%d seats in %d parts", left, parts)
	}
}

func TestSeatsCursor(t *testing.T) {
	be, _ := counted(t)
	for _, cursor := range []string{"x", "1", "1.", ".1", "1.2.3", "-1.2", "+1.2", "01.2", "9999999999999999999.1", " "} {
		_, _, err := be.Leases().Seats(within(t, time.Second), "k", cursor)
		var invalid *lease.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "cursor" {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}
