package etcdbackend

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// delayed keeps the next transaction back: its caller gets no answer, and it is executed when the
// returned func is called.
func delayed(t *testing.T, r *relay) (arrive func()) {
	t.Helper()
	var late func() (*clientv3.TxnResponse, error)
	r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		late = commit
		r.on(nil)
		return nil, context.DeadlineExceeded
	})
	return func() {
		t.Helper()
		if _, err := late(); err != nil {
			t.Fatal(err)
		}
	}
}

// An acquire that arrives after the release leaves nothing.
func TestAcquireArrivesLate(t *testing.T) {
	for _, queue := range []bool{true, false} {
		be, r := counted(t)
		acquire(t, be, wish("warm"), lease.Granted)
		arrive := delayed(t, r)
		c := wish("k")
		c.Queue = queue
		if _, err := be.Leases().Acquire(context.Background(), c); !errors.Is(err, lease.ErrUnavailable) {
			t.Fatal(err)
		}
		if was, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: "k", Attempt: c.Attempt, Uncertain: true}); was != lease.WasNothing || err != nil {
			t.Fatal(was, err)
		}
		arrive()
		if s, err := be.Leases().Inspect(within(t, 5*time.Second), "k"); err != nil || s.Limit != 0 {
			t.Errorf("left %+v, %v", s, err)
		}
		acquire(t, be, c, lease.Gone)
		acquire(t, be, wish("k"), lease.Granted)
	}
}

// A release that arrives when the next claim is there ends the next one's nothing.
func TestReleaseArrivesLate(t *testing.T) {
	be, r := counted(t)
	first, second := wish("k"), wish("k")
	acquire(t, be, first, lease.Granted)
	arrive := delayed(t, r)
	if _, err := be.Leases().Release(context.Background(), lease.Release{Key: "k", Attempt: first.Attempt}); !errors.Is(err, lease.ErrUnavailable) {
		t.Fatal(err)
	}
	eventually(t, "the janitor has released it", func() bool { return be.table.find(first.Attempt, be.names.line("k")) == nil })
	g := acquire(t, be, second, lease.Granted)
	arrive()
	time.Sleep(50 * time.Millisecond)
	if a := renew(t, be, second, false, lease.Granted); a.Token != g.Token {
		t.Error("another token")
	}
	if s, err := be.Leases().Inspect(within(t, 5*time.Second), "k"); err != nil || len(s.Holders) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Names are used again, so that what etcd remembers of them does not grow with every claim.
func TestSlotsAreUsedAgain(t *testing.T) {
	be, _ := counted(t)
	names := map[string]bool{}
	for range 20 {
		a, b := wish("k"), wish("k")
		acquire(t, be, a, lease.Granted)
		acquire(t, be, b, lease.Queued)
		for _, c := range []lease.Claim{a, b} {
			names[be.table.find(c.Attempt, be.names.line("k")).slot] = true
			release(t, be, c, lease.WasHeld)
		}
	}
	if len(names) != 2 {
		t.Errorf("%d names for two claims at a time: %v", len(names), names)
	}
}

// What is found in a slot and is not ours is taken away, as long as it was made by us.
func TestStrangerInASlot(t *testing.T) {
	be, r := counted(t)
	acquire(t, be, wish("warm"), lease.Granted)
	ghost := wish("k")
	line := be.names.line("k")
	m := member{weight: 1, limit: 1, ttl: 8}
	name := m.nameOf(seatOf(line, be.id+".0.0", 0, 1))
	value := blob{attempt: ghost.Attempt}
	if _, err := r.Put(within(t, time.Second), name, value.encode()); err != nil {
		t.Fatal(err)
	}
	c := wish("k")
	if a := acquire(t, be, c, lease.Granted); a.Token == 0 {
		t.Error("no token")
	}
	release(t, be, c, lease.WasHeld)
}

// The claim before it goes while the answer to an acquire is under way: the event comes first, and
// must not be forgotten when the answer speaks of the time before it.
func TestEventBeforeTheAnswer(t *testing.T) {
	be, r := counted(t)
	holder, waiter := wish("k"), wish("k")
	acquire(t, be, holder, lease.Granted)
	hit := false
	r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		r.on(nil)
		response, err := commit()
		if err != nil {
			return nil, err
		}
		release(t, be, holder, lease.WasHeld)
		eventually(t, "the watch tells of the release", func() bool {
			be.table.mu.Lock()
			defer be.table.mu.Unlock()
			hit = be.table.seen > response.Header.Revision
			return hit
		})
		return response, nil
	})
	acquire(t, be, waiter, lease.Granted)
	if !hit {
		t.Error("the event did not come first")
	}
	release(t, be, waiter, lease.WasHeld)
}
