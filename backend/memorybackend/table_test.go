package memorybackend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/lease"
)

// engine is a backend with verbs that cannot fail.
type engine struct {
	*testing.T
	*Backend
}

func newEngine(t *testing.T) engine {
	t.Helper()
	b, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine{t, b}
}

func (e engine) ctx() context.Context {
	ctx, cancel := context.WithTimeout(e.Context(), time.Second)
	e.Cleanup(cancel)
	return ctx
}

func (e engine) acquire(c lease.Claim, want lease.Status) lease.Answer {
	e.Helper()
	a, err := e.Leases().Acquire(e.ctx(), c)
	if err != nil || a.Status != want {
		e.Fatalf("Acquire(%s) = %+v, %v; want %v", c.Key, a, err, want)
	}
	return a
}

func (e engine) acquireAll(claims []lease.Claim, want ...lease.Status) {
	e.Helper()
	answers, err := e.Leases().AcquireAll(e.ctx(), claims)
	var got []lease.Status
	for _, a := range answers {
		got = append(got, a.Status)
	}
	if err != nil || !slices.Equal(got, want) {
		e.Fatalf("AcquireAll = %v, %v; want %v", got, err, want)
	}
}

func (e engine) renew(c lease.Claim, want lease.Status) lease.Answer {
	e.Helper()
	return e.renewAs(lease.Renewal{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: true}, want)
}

func (e engine) renewAs(r lease.Renewal, want lease.Status) lease.Answer {
	e.Helper()
	a := e.Leases().Renew(e.ctx(), []lease.Renewal{r})[0]
	if a.Err != nil || a.Status != want {
		e.Fatalf("Renew(%s) = %+v; want %v", r.Key, a, want)
	}
	return a
}

func (e engine) release(r lease.Release, want lease.Released) {
	e.Helper()
	if was, err := e.Leases().Release(e.ctx(), r); err != nil || was != want {
		e.Fatalf("Release(%s) = %v, %v; want %v", r.Key, was, err, want)
	}
}

func (e engine) inspect(key string) lease.State {
	e.Helper()
	s, err := e.Leases().Inspect(e.ctx(), key)
	if err != nil {
		e.Fatal(err)
	}
	return s
}

func (e engine) empty() {
	e.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.table
	if len(t.keys)+len(t.due)+len(t.gone)+len(t.graves)+len(t.watchers) > 0 {
		e.Errorf("left behind: %d keys, %d due, %d gone, %d graves, %d watchers",
			len(t.keys), len(t.due), len(t.gone), len(t.graves), len(t.watchers))
	}
}

// exclusive is a claim of a lock, shared one of a semaphore.
func exclusive(key string) lease.Claim { return shared(key, 1, 1) }

func shared(key string, weight, limit int64) lease.Claim {
	return lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: 3 * time.Second, Queue: true, Weight: weight, Limit: limit}
}

func ended(c lease.Claim) lease.Release { return lease.Release{Key: c.Key, Attempt: c.Attempt} }

func TestExpiryToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := exclusive("k"), exclusive("k")
		first := e.acquire(a, lease.Granted)
		if first.Left != a.TTL {
			t.Errorf("Left = %v, want %v", first.Left, a.TTL)
		}
		if q := e.acquire(b, lease.Queued); q.Next != a.TTL || q.Rank != 0 || !q.Pushed {
			t.Errorf("answer %+v", q)
		}
		time.Sleep(a.TTL - 1)
		e.renew(b, lease.Queued)
		time.Sleep(time.Nanosecond)
		e.renewAs(lease.Renewal{Key: "k", Attempt: a.Attempt, TTL: a.TTL}, lease.Unknown)
		if second := e.renew(b, lease.Granted); second.Token <= first.Token || second.Left != b.TTL {
			t.Errorf("second grant %+v after %+v", second, first)
		}
	})
}

func TestLockDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a := exclusive("k")
		a.Delay = time.Second
		b := exclusive("k")
		b.Queue = false

		e.acquire(a, lease.Granted)
		e.release(lease.Release{Key: "k", Attempt: a.Attempt, Unclean: true}, lease.WasHeld)
		e.renew(a, lease.Unknown)
		e.acquire(a, lease.Held) // its own seat is in the way
		time.Sleep(a.Delay - 1)
		e.release(ended(a), lease.WasLapsed) // does not cut the delay short
		e.acquire(b, lease.Held)
		time.Sleep(time.Nanosecond)
		e.acquire(b, lease.Granted)
		e.release(ended(b), lease.WasHeld)

		e.acquire(a, lease.Granted) // a clean release has no delay
		e.release(ended(a), lease.WasHeld)
		e.acquire(b, lease.Granted)
	})
}

func TestTombstoneLivesUntilTheLatestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		e.ctx() // one second
		e.acquire(c, lease.Granted)
		e.release(lease.Release{Key: "k", Attempt: c.Attempt, Uncertain: true}, lease.WasHeld)
		time.Sleep(time.Second)
		e.acquire(c, lease.Gone)
		time.Sleep(time.Nanosecond)
		e.acquire(c, lease.Granted)
	})
}

func TestRequestAfterItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.Control().Delay(time.Second + 1)
		if _, err := e.Leases().Acquire(e.ctx(), exclusive("k")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(time.Second)
		e.empty()
	})
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := exclusive("k"), exclusive("k")
		b.Window = 500 * time.Millisecond
		var got []lease.Event
		defer e.Leases().Watch("k", b.Attempt, func(ev lease.Event) { got = append(got, ev) })()
		e.acquire(a, lease.Granted)
		e.acquire(b, lease.Queued)
		e.release(ended(a), lease.WasHeld)
		synctest.Wait()
		if len(got) != 1 || got[0].Kind != lease.EventGranted || !got[0].Until.Equal(time.Now().Add(b.Window)) {
			t.Fatalf("events %+v", got)
		}
		if again := e.acquire(b, lease.Granted); again.Token != got[0].Token || again.Left != b.Window {
			t.Errorf("answer %+v after event %+v", again, got[0])
		}
		if renewed := e.renew(b, lease.Granted); renewed.Left != b.TTL {
			t.Errorf("renewed %+v", renewed)
		}
	})
}

func TestPriorityAndTransfer(t *testing.T) {
	e := newEngine(t)
	holder, low, mid, high := exclusive("k"), exclusive("k"), exclusive("k"), exclusive("k")
	mid.Priority, high.Priority = 1, 2
	e.acquire(holder, lease.Granted)
	e.acquire(low, lease.Queued)
	e.acquire(mid, lease.Queued)
	e.acquire(high, lease.Queued)
	order := func() (names []lease.Attempt) {
		for _, p := range e.inspect("k").Waiters {
			names = append(names, p.Attempt)
		}
		return names
	}
	if want := []lease.Attempt{high.Attempt, mid.Attempt, low.Attempt}; !slices.Equal(order(), want) {
		t.Errorf("queue %v, want %v", order(), want)
	}
	e.release(lease.Release{Key: "k", Attempt: holder.Attempt, To: low.Attempt}, lease.WasHeld)
	e.renew(low, lease.Granted)
	if got := e.renew(mid, lease.Queued); got.Rank != 1 {
		t.Errorf("rank %d", got.Rank)
	}
	e.release(ended(low), lease.WasHeld)
	e.renew(high, lease.Granted)
}

func TestHeavyHeadIsNotOvertaken(t *testing.T) {
	e := newEngine(t)
	reader, writer, late := shared("k", 1, 3), shared("k", 3, 3), shared("k", 1, 3)
	e.acquire(reader, lease.Granted)
	e.acquire(writer, lease.Queued)
	e.acquire(late, lease.Queued)
	e.release(ended(reader), lease.WasHeld)
	e.renew(writer, lease.Granted)
	e.renew(late, lease.Queued)

	// A downgrade makes room.
	e.renewAs(lease.Renewal{Key: "k", Attempt: writer.Attempt, TTL: writer.TTL, Weight: 1}, lease.Granted)
	e.renew(late, lease.Granted)
	if s := e.inspect("k"); len(s.Holders) != 2 || s.Holders[0].Weight != 1 {
		t.Errorf("state %+v", s)
	}
}

func TestLimit(t *testing.T) {
	e := newEngine(t)
	a, b := shared("k", 1, 2), shared("k", 1, 2)
	e.acquire(a, lease.Granted)
	e.acquire(b, lease.Granted)
	if got := e.acquire(exclusive("k"), lease.Conflict); got.Limit != 2 {
		t.Errorf("conflict with %d", got.Limit)
	}

	// A shrink evicts nobody, and grants nothing until the seats fit.
	small := shared("k", 1, 1)
	small.LimitEpoch = 1
	e.acquire(small, lease.Queued)
	e.release(ended(a), lease.WasHeld)
	e.renew(small, lease.Queued)
	e.release(ended(b), lease.WasHeld)
	e.renew(small, lease.Granted)
	e.acquire(shared("k", 1, 2), lease.Conflict)

	large := shared("k", 1, 2)
	large.LimitEpoch = 2
	e.acquire(large, lease.Granted)

	// Nothing of a limit is left when the last claim has gone.
	e.release(ended(small), lease.WasHeld)
	e.release(ended(large), lease.WasHeld)
	e.acquire(shared("k", 9, 9), lease.Granted)
}

func TestFullQueueDropsItsDeadTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		holder, head := exclusive("k"), exclusive("k")
		holder.TTL, head.TTL = time.Hour, time.Hour
		e.acquire(holder, lease.Granted)
		e.acquire(head, lease.Queued)
		for range lease.MaxQueue - 1 {
			e.acquire(exclusive("k"), lease.Queued)
		}
		e.acquire(exclusive("k"), lease.Full)
		time.Sleep(exclusive("k").TTL)
		if got := e.acquire(exclusive("k"), lease.Queued); got.Rank != lease.MaxQueue-tailScan {
			t.Errorf("rank %d", got.Rank)
		}
	})
}

func TestAcquireAll(t *testing.T) {
	e := newEngine(t)
	all := func(queue bool) []lease.Claim {
		claims := []lease.Claim{exclusive("c"), exclusive("a"), exclusive("b")}
		for i := range claims {
			claims[i].Queue = queue
		}
		return claims
	}
	b := exclusive("b")
	e.acquire(b, lease.Granted)

	e.acquireAll(all(false), lease.Unknown, lease.Unknown, lease.Held)
	if s := e.inspect("a"); len(s.Holders) != 0 {
		t.Errorf("a: %+v", s)
	}
	mine := all(true)
	e.acquireAll(mine, lease.Unknown, lease.Granted, lease.Queued)
	e.release(ended(b), lease.WasHeld)
	e.acquireAll(mine, lease.Granted, lease.Granted, lease.Granted)
	e.acquireAll(mine, lease.Granted, lease.Granted, lease.Granted)

	if _, err := e.Leases().AcquireAll(e.ctx(), nil); !errors.Is(err, lease.ErrInvalid) {
		t.Errorf("no claims: %v", err)
	}
}

func TestMetaIsCopied(t *testing.T) {
	e := newEngine(t)
	c := exclusive("k")
	c.Meta = []byte("mine")
	e.acquire(c, lease.Granted)
	c.Meta[0] = 'x'
	e.inspect("k").Holders[0].Meta[0] = 'y'
	if got := string(e.inspect("k").Holders[0].Meta); got != "mine" {
		t.Errorf("meta %q", got)
	}
}

func TestIdleTableIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		for i := range 1000 {
			c := shared(fmt.Sprint("key", i%100), 1, int64(i%100%3))
			c.Delay = time.Duration(i%2) * time.Second
			if _, err := e.Leases().Acquire(e.ctx(), c); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 {
				if _, err := e.Leases().Release(e.ctx(), lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
		e.Leases().Watch("key1", lease.NewAttempt(), func(lease.Event) {})()
		time.Sleep(time.Minute)
		e.inspect("another key")
		e.empty()
	})
}

// TestInvariants runs random verbs and compares the table with itself and with the rules after
// each of them.
func TestInvariants(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomVerbs(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomVerbs(t *testing.T, r *rand.Rand) {
	e := newEngine(t)
	keys := []string{"a", "b", "c"}
	limits := map[string]int64{"a": 1, "b": 4, "c": 0}
	var claims []lease.Claim
	last := make(map[string]uint64)
	for range 20 {
		for _, key := range keys {
			c := shared(key, 1+r.Int64N(max(1, limits[key])), limits[key])
			c.Priority, c.Queue = r.IntN(3), r.IntN(4) > 0
			c.Window = time.Duration(r.IntN(2)) * time.Second
			c.Delay = time.Duration(r.IntN(3)) * time.Second
			claims = append(claims, c)
		}
	}
	for range 600 {
		c := claims[r.IntN(len(claims))]
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		var err error
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			_, err = e.Leases().Acquire(ctx, c)
		case 4, 5, 6:
			e.Leases().Renew(ctx, []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: r.IntN(2) > 0, Weight: r.Int64N(5)}})
		case 7:
			_, err = e.Leases().Release(ctx, lease.Release{
				Key: c.Key, Attempt: c.Attempt, Unclean: r.IntN(2) > 0, Uncertain: r.IntN(2) > 0, To: claims[r.IntN(len(claims))].Attempt,
			})
		case 8:
			_, err = e.Leases().Revoke(ctx, lease.Revocation{Key: c.Key, Token: last[c.Key] + 1, Force: r.IntN(2) > 0})
		case 9:
			e.Control().ExpireNow(c.Key)
		default:
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		}
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		e.mu.Lock()
		for _, k := range e.table.keys {
			checkKey(t, k, last)
		}
		for i, k := range e.table.due {
			if k.index != i || len(k.claims) == 0 || e.table.keys[k.name] != k {
				t.Fatalf("due[%d]: %+v", i, k)
			}
		}
		e.mu.Unlock()
	}
	time.Sleep(time.Hour)
	e.inspect("any")
	e.empty()
}

func checkKey(t *testing.T, k *key, last map[string]uint64) {
	t.Helper()
	var used int64
	newest := last[k.name]
	for i, c := range k.seats {
		used += c.Weight
		if !c.seated || c.index != i || c.asking || k.claims[c.Attempt] != c || c.ends().After(k.end) {
			t.Fatalf("%s: seat %+v", k.name, c)
		}
		newest = max(newest, c.token)
	}
	if used != k.used || k.limit > 0 && used > k.limit {
		t.Fatalf("%s: %d used of %d, counted %d", k.name, used, k.limit, k.used)
	}
	for i, c := range k.queue {
		if c.seated || c.asking || k.claims[c.Attempt] != c || c.end.After(k.end) || k.rank(c.order) != i {
			t.Fatalf("%s: waiting %+v", k.name, c)
		}
	}
	if len(k.claims) != len(k.seats)+len(k.queue) || len(k.claims) == 0 {
		t.Fatalf("%s: %d claims, %d seats, %d waiting", k.name, len(k.claims), len(k.seats), len(k.queue))
	}
	last[k.name] = newest
}

func TestInvalidArgumentsChangeNothing(t *testing.T) {
	e := newEngine(t)
	l, c := e.Leases(), exclusive("k")
	token := e.acquire(c, lease.Granted).Token
	_, acquire := l.Acquire(e.ctx(), lease.Claim{Key: "k"})
	_, release := l.Release(e.ctx(), lease.Release{Attempt: c.Attempt})
	_, inspect := l.Inspect(e.ctx(), "")
	errs := []error{acquire, release, inspect, l.Observe(e.ctx(), "", nil)}
	for _, r := range []lease.Revocation{
		{Token: token, Force: true},
		{Key: "k", Force: true},
		{Key: "k", Token: token, Force: true, Reason: string(make([]byte, lease.MaxReason+1))},
		{Key: "k", Token: token, Grace: -1},
	} {
		_, err := l.Revoke(e.ctx(), r)
		errs = append(errs, err)
	}
	good := lease.Renewal{Key: "k", Attempt: c.Attempt, TTL: c.TTL}
	noKey, short, fat, heavy := good, good, good, good
	noKey.Key, short.TTL, fat.Meta, heavy.Weight = "", 1, make([]byte, lease.MaxMeta+1), lease.MaxWeight+1
	answers := l.Renew(e.ctx(), []lease.Renewal{noKey, short, fat, heavy, good})
	for _, a := range answers[:4] {
		errs = append(errs, a.Err)
	}
	for i, err := range errs {
		if !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if a := answers[4]; a.Status != lease.Granted || a.Token != token || a.Asked != nil {
		t.Errorf("the valid item: %+v", a)
	}
}

func TestCheck(t *testing.T) {
	e := newEngine(t)
	if err := e.Check(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}
