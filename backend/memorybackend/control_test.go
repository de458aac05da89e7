package memorybackend

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/lease"
)

func TestExpireNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := exclusive("k"), exclusive("k")
		a.Delay = time.Minute
		events := 0
		stop := e.Leases().Watch("k", a.Attempt, func(lease.Event) { events++ })
		first := e.acquire(a, lease.Granted)
		e.acquire(b, lease.Queued)
		e.Control().ExpireNow("k")
		e.Control().ExpireNow("no such key")
		e.release(lease.Release{Key: "k", Attempt: a.Attempt}, lease.WasLapsed)
		if second := e.renew(b, lease.Granted); second.Token <= first.Token {
			t.Errorf("token %d after %d", second.Token, first.Token)
		}
		e.renew(a, lease.Unknown)
		synctest.Wait()
		stop()
		if events > 0 {
			t.Errorf("%d events", events)
		}

		// A seat that has ended is not given more life.
		time.Sleep(b.TTL)
		e.Control().ExpireNow("k")
		e.inspect("another key")
		time.Sleep(a.TTL + a.Delay)
		e.inspect("another key")
		e.empty()
	})
}

func TestControlRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b, next := shared("k", 1, 2), shared("k", 1, 2), shared("k", 2, 2)
		var told atomic.Int32
		count := func(ev lease.Event) {
			if ev.Kind == lease.EventRevoked && ev.Token != 0 && ev.Ask.Reason == "maintenance" {
				told.Add(1)
			}
		}
		e.acquire(a, lease.Granted)
		e.acquire(b, lease.Granted)
		defer e.Leases().Watch("k", a.Attempt, count)()
		defer e.Leases().Watch("k", b.Attempt, count)()
		e.acquire(next, lease.Queued)
		e.Control().Revoke("k", "maintenance")
		e.Control().Revoke("no such key", "")
		synctest.Wait()
		if n := told.Load(); n != 2 {
			t.Errorf("%d holders were told", n)
		}
		e.renew(a, lease.Unknown)
		e.renew(next, lease.Granted)
	})
}

func TestAskedToLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		token := e.acquire(c, lease.Granted).Token
		ask := lease.Revocation{Key: "k", Token: token, Reason: "please", Grace: time.Second}
		if found, err := e.Leases().Revoke(e.ctx(), ask); err != nil || !found {
			t.Fatal(found, err)
		}
		time.Sleep(400 * time.Millisecond)
		a := e.renew(c, lease.Granted)
		if a.Token != token || a.Asked == nil || *a.Asked != (lease.Ask{Reason: "please", Grace: 600 * time.Millisecond}) {
			t.Errorf("answer %+v %+v", a, a.Asked)
		}
		time.Sleep(time.Second)
		if a := e.renew(c, lease.Granted); a.Asked == nil || a.Asked.Grace != 0 {
			t.Errorf("answer %+v %+v", a, a.Asked)
		}
	})
}

func TestFailNext(t *testing.T) {
	e := newEngine(t)
	c := exclusive("k")
	boom := errors.New("boom")
	e.Control().FailNext(2, boom)
	if _, err := e.Leases().Acquire(e.ctx(), c); !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
	for _, a := range e.Leases().Renew(e.ctx(), make([]lease.Renewal, 2)) {
		if !errors.Is(a.Err, boom) {
			t.Errorf("err = %v", a.Err)
		}
	}
	e.empty()
	e.acquire(c, lease.Granted)

	e.Control().FailNext(100, nil)
	if err := e.Fences().Raise(e.ctx(), "r", 1); !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
	if err := e.Guard().Raise(e.ctx(), "r", 1); err != nil {
		t.Errorf("guard: %v", err)
	}
	e.Control().FailNext(0, nil)
	e.renew(c, lease.Granted)
}

func TestLoseNext(t *testing.T) {
	e := newEngine(t)
	c := exclusive("k")
	e.Control().LoseNext(2, nil)
	if a, err := e.Leases().Acquire(e.ctx(), c); !errors.Is(err, lease.ErrUnavailable) || a.Status != lease.Unknown || a.Token != 0 {
		t.Errorf("answer %+v, %v", a, err)
	}
	if err := e.Fences().Raise(e.ctx(), "r", 7); !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
	e.renew(c, lease.Granted)
	if mark, err := e.Fences().Mark(e.ctx(), "r"); mark != 7 || err != nil {
		t.Errorf("mark %v, %v", mark, err)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.Control().Delay(300 * time.Millisecond)
		start := time.Now()
		e.acquire(exclusive("k"), lease.Granted)
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := e.Leases().Acquire(ctx, exclusive("other")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		e.Control().Delay(0)
		if s := e.inspect("other"); len(s.Holders) > 0 {
			t.Errorf("state %+v", s)
		}
	})
}

func TestLoseAndFlush(t *testing.T) {
	e := newEngine(t)
	a, b, c := exclusive("k"), exclusive("k"), exclusive("other")
	first := e.acquire(a, lease.Granted)
	e.acquire(b, lease.Queued)
	e.acquire(c, lease.Granted)
	e.Control().Lose("k")
	e.renew(a, lease.Unknown)
	e.renew(b, lease.Unknown)
	e.renew(c, lease.Granted)
	if again := e.acquire(b, lease.Granted); again.Token <= first.Token {
		t.Errorf("token %d after %d", again.Token, first.Token)
	}
	e.release(lease.Release{Key: "k", Attempt: a.Attempt, Uncertain: true}, lease.WasNothing)
	e.Control().Flush()
	e.renew(c, lease.Unknown)
	e.empty()
}

func TestDropEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := exclusive("k"), exclusive("k")
		var got []lease.EventKind
		defer e.Leases().Watch("k", b.Attempt, func(ev lease.Event) { got = append(got, ev.Kind) })()
		e.acquire(a, lease.Granted)
		e.Control().DropEvents(true)
		if q := e.acquire(b, lease.Queued); q.Pushed {
			t.Error("an answer promises events")
		}
		e.release(ended(a), lease.WasHeld)
		synctest.Wait()
		if len(got) > 0 {
			t.Errorf("events %v", got)
		}
		e.Control().DropEvents(false)
		synctest.Wait()
		if len(got) != 1 || got[0] != lease.EventCheck {
			t.Errorf("events %v", got)
		}
		e.renew(b, lease.Granted)
	})
}
