package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// share is a wish for a part of a limit.
func share(key string, weight, limit, epoch int64) lease.Claim {
	c := wish(key)
	c.Weight, c.Limit, c.LimitEpoch = weight, limit, epoch
	return c
}

// processes are backends on one prefix, each with requests of its own.
func processes(t *testing.T, n int) (list []*Backend, relays []*relay) {
	t.Helper()
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	for range n {
		r := newRelay(t, client)
		relays = append(relays, r)
		list = append(list, openWith(t, r, &Options{Prefix: prefix, Logger: quiet()}))
	}
	return list, relays
}

// becomes waits for a grant of a claim that waits.
func becomes(t *testing.T, be *Backend, c lease.Claim) {
	t.Helper()
	eventually(t, "a waiting claim is granted", func() bool { return ask(t, be, c, true).Status == lease.Granted })
}

// A limit becomes smaller, and in the next moment a seat is free that the old limit would give to a
// waiter. It hears of the change first, and reads before it believes anything.
func TestResizeBeforeARelease(t *testing.T) {
	be, relays := processes(t, 3)
	a, b, waiter, small := share("k", 1, 2, 1), share("k", 1, 2, 1), share("k", 1, 2, 1), share("k", 1, 1, 2)
	acquire(t, be[0], a, lease.Granted)
	acquire(t, be[0], b, lease.Granted)
	acquire(t, be[1], waiter, lease.Queued)
	told := events(t, be[1], waiter)

	relays[1].on(func(func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) { // it cannot read
		return nil, context.DeadlineExceeded
	})
	acquire(t, be[2], small, lease.Queued)
	release(t, be[0], a, lease.WasHeld)
	line := be[1].names.line("k")
	c := be[1].table.find(waiter.Attempt, line)
	eventually(t, "both are heard of", func() bool {
		be[1].table.mu.Lock()
		defer be[1].table.mu.Unlock()
		return c.ahead.doubt && c.ahead.sum == 1
	})
	be[1].table.mu.Lock()
	if c.state != waiting {
		t.Error("granted under the old limit")
	}
	be[1].table.mu.Unlock()
	relays[1].on(nil)
	renew(t, be[1], waiter, true, lease.Queued)
	for len(told) > 0 {
		if e := <-told; e.Kind == lease.EventGranted {
			t.Error("a grant was pushed")
		}
	}
	release(t, be[0], b, lease.WasHeld)
	becomes(t, be[1], waiter)
	renew(t, be[2], small, true, lease.Queued)
	release(t, be[1], waiter, lease.WasHeld)
	becomes(t, be[2], small)
}

// What others see of a line whose limit has become smaller: who had a seat keeps it, and who waits
// does not seem to have one when it would fit the limit of its own time.
func TestInspectAfterAShrink(t *testing.T) {
	be, _ := processes(t, 2)
	a, b, waiter, small := share("k", 1, 2, 1), share("k", 1, 2, 1), share("k", 1, 2, 1), share("k", 1, 1, 2)
	acquire(t, be[0], a, lease.Granted)
	token := acquire(t, be[0], b, lease.Granted).Token
	acquire(t, be[0], waiter, lease.Queued)
	if rank := acquire(t, be[1], small, lease.Queued).Rank; rank != 1 {
		t.Errorf("rank %d behind two seats and a waiter", rank)
	}
	release(t, be[0], a, lease.WasHeld)
	s, err := be[1].Leases().Inspect(within(t, time.Second), "k")
	if err != nil || s.Limit != 1 || len(s.Holders) != 1 || s.Holders[0].Token != token || len(s.Waiters) != 2 || s.Waiting != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, w := range []lease.Claim{waiter, small} {
		at := be[0].table.find(w.Attempt, be[0].names.line("k"))
		if at == nil {
			at = be[1].table.find(w.Attempt, be[1].names.line("k"))
		}
		found, err := be[1].Leases().Revoke(within(t, time.Second), lease.Revocation{Key: "k", Token: uint64(at.rev), Force: true})
		if found || err != nil {
			t.Errorf("a waiter was forced out: %v", err)
		}
	}
	if found, err := be[1].Leases().Revoke(within(t, time.Second), lease.Revocation{Key: "k", Token: token, Force: true}); !found || err != nil {
		t.Errorf("the holder was not found: %v", err)
	}
	becomes(t, be[0], waiter)
}

// A semaphore of one looks like a lock, and those who wait for it hear of a larger limit as well.
func TestResizeOfALock(t *testing.T) {
	be, _ := processes(t, 3)
	holder, waiter, larger := wish("k"), wish("k"), share("k", 1, 3, 1)
	acquire(t, be[0], holder, lease.Granted)
	acquire(t, be[1], waiter, lease.Queued)
	told := events(t, be[1], waiter)
	acquire(t, be[2], larger, lease.Granted)
	next(t, told, lease.EventGranted)
	renew(t, be[1], waiter, true, lease.Granted)
	if a := acquire(t, be[1], wish("k"), lease.Conflict); a.Limit != 3 {
		t.Errorf("limit %d", a.Limit)
	}
	try := share("k", 1, 3, 1)
	try.Queue, try.Weight = false, 2
	acquire(t, be[0], try, lease.Held)
	try.Weight = 1
	release(t, be[0], holder, lease.WasHeld)
	acquire(t, be[0], try, lease.Granted)
	left, err := be[0].client.(*relay).Get(within(t, time.Second), bell(be[0].names.line("k"), ""), clientv3.WithPrefix())
	if err != nil || left.Count != 0 {
		t.Errorf("a bell was left hanging: %v, %v", left, err)
	}
}

// A claim that disagrees about the limit stands in the line, because its process has not heard the
// answer. Nobody passes it, and it is never granted beside those it disagrees with.
func TestUnansweredClaimOfAnotherLimit(t *testing.T) {
	be, relays := processes(t, 2)
	holder, odd, behind := share("k", 1, 3, 0), share("k", 1, 2, 0), share("k", 1, 3, 0)
	acquire(t, be[0], holder, lease.Granted)
	acquire(t, be[1], wish("warm"), lease.Granted)
	relays[1].on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		if _, err := commit(); err != nil {
			return nil, err
		}
		return nil, context.DeadlineExceeded
	})
	if _, err := be[1].Leases().Acquire(within(t, time.Second), odd); !errors.Is(err, lease.ErrUnavailable) {
		t.Fatalf("lost answer: %v", err)
	}
	relays[1].on(nil)
	acquire(t, be[0], behind, lease.Queued)
	if a := acquire(t, be[1], odd, lease.Conflict); a.Limit != 3 {
		t.Errorf("limit %d", a.Limit)
	}
	becomes(t, be[0], behind)
}

// The rest of a seat goes, and those who wait in other processes are granted without a request.
func TestLoweredSeat(t *testing.T) {
	be, relays := processes(t, 2)
	writer, reader := share("k", 5, 5, 0), share("k", 1, 5, 0)
	g := acquire(t, be[0], writer, lease.Granted)
	told := events(t, be[1], reader)
	acquire(t, be[1], reader, lease.Queued)
	relays[1].take()
	lower := func(weight int64) lease.Answer {
		return be[0].Leases().Renew(within(t, time.Second), []lease.Renewal{{Key: "k", Attempt: writer.Attempt, TTL: writer.TTL, Weight: weight}})[0]
	}
	if a := lower(3); !errors.Is(a.Err, lease.ErrUnsupported) {
		t.Errorf("%+v", a)
	}
	renew(t, be[1], reader, true, lease.Queued)
	for range 2 { // the second changes nothing
		if a := lower(1); a.Status != lease.Granted || a.Token != g.Token {
			t.Errorf("%+v", a)
		}
	}
	next(t, told, lease.EventGranted)
	if n := relays[1].take(); n != (counts{}) {
		t.Errorf("the waiter sent %+v", n)
	}
	s, err := be[1].Leases().Inspect(within(t, time.Second), "k")
	if err != nil || len(s.Holders) != 2 || s.Holders[0].Weight != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	release(t, be[0], writer, lease.WasHeld)
}

// More hold a key than are read with every acquire.
func TestManyHolders(t *testing.T) {
	be, _ := processes(t, 2)
	const all = lease.MaxWeight
	readers := make([]lease.Claim, 2*known)
	for i := range readers {
		readers[i] = share("k", 1, all, 0)
		acquire(t, be[i%2], readers[i], lease.Granted)
	}
	try, writer, late := share("k", 1, all, 0), share("k", all, all, 0), share("k", 1, all, 0)
	try.Queue = false
	acquire(t, be[0], try, lease.Granted)
	acquire(t, be[0], writer, lease.Queued)
	acquire(t, be[1], late, lease.Queued)
	try.Attempt = lease.NewAttempt()
	acquire(t, be[0], try, lease.Held)
	s, err := be[0].Leases().Inspect(within(t, time.Second), "k")
	if err != nil || len(s.Holders) != listed || len(s.Waiters) != 2 {
		t.Errorf("%d holders, %d waiters, %v", len(s.Holders), len(s.Waiters), err)
	}
	for i, c := range readers {
		release(t, be[i%2], c, lease.WasHeld)
	}
	renew(t, be[0], writer, true, lease.Queued)
	holders, err := be[0].Leases().Inspect(within(t, time.Second), "k")
	if err != nil || len(holders.Holders) != 1 {
		t.Fatalf("%+v, %v", holders, err)
	}
	release(t, be[0], lease.Claim{Key: "k", Attempt: holders.Holders[0].Attempt}, lease.WasHeld)
	becomes(t, be[0], writer)
	release(t, be[0], writer, lease.WasHeld)
	becomes(t, be[1], late)
}

func TestTripsOfSharedKeys(t *testing.T) {
	be, relays := processes(t, 2)
	acquire(t, be[0], wish("warm"), lease.Granted)
	acquire(t, be[1], share("k", 1, 9, 0), lease.Granted)
	acquire(t, be[1], share("e", 1, 9, 1), lease.Granted)
	for _, verb := range []struct {
		name  string
		c     lease.Claim
		try   bool
		trips int64
	}{
		{name: "acquire", c: share("k", 1, 9, 0), trips: 1},
		{name: "acquire a heavy one", c: share("k", 2, 9, 0), trips: 1},
		{name: "acquire, of an epoch", c: share("e", 1, 9, 1), trips: 1},
		{name: "acquire on a free key", c: share("f", 2, 9, 0), trips: 1},
		{name: "acquire on a free key, of an epoch", c: share("f", 1, 9, 7), trips: 1},
		{name: "try", c: share("k", 2, 9, 0), try: true, trips: 2},
		{name: "try, of an epoch", c: share("e", 2, 9, 1), try: true, trips: 2},
		{name: "try on a free key", c: share("f", 2, 9, 0), try: true, trips: 1},
		{name: "change a limit", c: share("k", 1, 8, 1), trips: 3},
		{name: "change it once more", c: share("e", 1, 8, 2), trips: 3},
		{name: "change it by a try", c: share("e", 1, 8, 2), try: true, trips: 3},
	} {
		verb.c.Queue = !verb.try
		relays[0].take()
		acquire(t, be[0], verb.c, lease.Granted)
		if n := relays[0].take(); n != (counts{txns: verb.trips}) {
			t.Errorf("%s: %+v, want %d", verb.name, n, verb.trips)
		}
		release(t, be[0], verb.c, lease.WasHeld)
		if n := relays[0].take(); n != (counts{txns: 1}) {
			t.Errorf("release after %s: %+v", verb.name, n)
		}
	}
}

func TestTripsOfSeveralKeys(t *testing.T) {
	be, relays := processes(t, 2)
	acquire(t, be[0], wish("warm"), lease.Granted)
	all := func(queue bool) (claims []lease.Claim) {
		for i := range lease.MaxKeys {
			c := wish(fmt.Sprint("k", i))
			c.Queue = queue
			claims = append(claims, c)
		}
		return claims
	}
	status := func(want lease.Status, trips int64, claims []lease.Claim) {
		t.Helper()
		relays[0].take()
		answers, err := be[0].Leases().AcquireAll(within(t, 5*time.Second), claims)
		if n := relays[0].take().txns; err != nil || n != trips {
			t.Errorf("%v, %d requests, want %d", err, n, trips)
		}
		for i, a := range answers {
			if i > 0 && want == lease.Held {
				want = lease.Unknown // after the first key the rest was not reached
			}
			if a.Status != want {
				t.Fatalf("claim %d: %v, want %v", i, a.Status, want)
			}
		}
	}
	for _, queue := range []bool{true, false} {
		claims := all(queue)
		status(lease.Granted, 1, claims)
		again := int64(0)
		if !queue {
			again = 3 // it reads them
		}
		status(lease.Granted, again, claims)
		other := all(false)
		status(lease.Held, 4, other)
		for _, c := range claims {
			release(t, be[0], c, lease.WasHeld)
		}
	}
}
