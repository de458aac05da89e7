package etcdbackend

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

func TestTripsOfEachVerb(t *testing.T) {
	be, r := counted(t)
	leases, ctx := be.Leases(), within(t, 10*time.Second)
	c, other := wish("k"), wish("k")
	other.Queue = false
	g := acquire(t, be, c, lease.Granted)
	if n := r.take(); n != (counts{txns: 1, grants: 1}) {
		t.Errorf("first acquire: %+v, want one lease and one transaction", n)
	}
	many := make([]lease.Renewal, 100)
	for i := range many {
		many[i] = lease.Renewal{Key: "k", Attempt: c.Attempt, TTL: c.TTL}
	}
	alone := wish("alone")
	alone.Alone = true
	waiter := wish("k")
	for _, verb := range []struct {
		name string
		run  func()
		want counts
	}{
		{"acquire again", func() { acquire(t, be, c, lease.Granted) }, counts{txns: 1}},
		{"renew", func() { renew(t, be, c, false, lease.Granted) }, counts{}},
		{"renew 100", func() { leases.Renew(ctx, many) }, counts{}},
		{"renew with metadata", func() {
			leases.Renew(ctx, []lease.Renewal{{Key: "k", Attempt: c.Attempt, TTL: c.TTL, MetaSeq: 7, Meta: []byte("m")}})
		}, counts{txns: 1}},
		{"acquire, wait", func() { acquire(t, be, waiter, lease.Queued) }, counts{txns: 1}},
		{"renew while waiting", func() { renew(t, be, waiter, true, lease.Queued) }, counts{}},
		{"give up", func() { release(t, be, waiter, lease.WasWaiting) }, counts{txns: 1}},
		{"try, held by this process", func() { acquire(t, be, other, lease.Held) }, counts{txns: 1}},
		{"inspect", func() { _, _ = leases.Inspect(ctx, "k") }, counts{txns: 1}},
		{"ask", func() { _, _ = leases.Revoke(ctx, lease.Revocation{Key: "k", Token: g.Token}) }, counts{txns: 2}},
		{"release", func() { release(t, be, c, lease.WasHeld) }, counts{txns: 1}},
		{"try", func() { acquire(t, be, other, lease.Granted) }, counts{txns: 1}},
		{"acquire alone", func() { acquire(t, be, alone, lease.Granted) }, counts{txns: 1, grants: 1}},
		{"raise", func() { _ = be.Fences().Raise(ctx, "k", 2) }, counts{txns: 1}},
		{"mark", func() { _, _ = be.Fences().Mark(ctx, "k") }, counts{txns: 1}},
		{"guarded put", func() { _, _ = be.Guard().Txn(ctx, "k", 2, clientv3.OpPut(be.opt.Prefix+"/data", "v")) }, counts{txns: 1}},
		{"watch", func() { leases.Watch("k", c.Attempt, func(lease.Event) {})() }, counts{}},
	} {
		verb.run()
		if n := r.take(); n != verb.want {
			t.Errorf("%s: %+v, want %+v", verb.name, n, verb.want)
		}
	}
	keeps := r.keeps.Load()
	renew(t, be, alone, false, lease.Granted)
	if n := r.keeps.Load() - keeps; n != 1 {
		t.Errorf("renew alone: %d requests", n)
	}
}

// A try that finds the key held by another process asks how long that one has left.
func TestTripsOfTryHeldElsewhere(t *testing.T) {
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	holder := openWith(t, client, &Options{Prefix: prefix})
	acquire(t, holder, wish("k"), lease.Granted)
	r := newRelay(t, client)
	be := openWith(t, r, &Options{Prefix: prefix})
	acquire(t, be, wish("elsewhere"), lease.Granted)
	r.take()
	c := wish("k")
	c.Queue = false
	a := acquire(t, be, c, lease.Held)
	if n := r.take(); n != (counts{txns: 1, lives: 1}) {
		t.Errorf("%+v, want one transaction and one question for the lease", n)
	}
	if a.Holder.Left <= 0 || a.Holder.Left > c.TTL {
		t.Errorf("holder has %v left", a.Holder.Left)
	}
}

// A hand-off between processes costs two requests: the release and, later, the release of the
// next holder, each preceded by one acquire that had to wait.
func TestTripsOfHandOver(t *testing.T) {
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	const n = 16
	r := newRelay(t, client)
	processes, claims, told := make([]*Backend, n), make([]lease.Claim, n), make([]<-chan lease.Event, n)
	for i := range processes {
		processes[i], claims[i] = openWith(t, r, &Options{Prefix: prefix}), wish("k")
		told[i] = events(t, processes[i], claims[i])
		want := lease.Queued
		if i == 0 {
			want = lease.Granted
		}
		acquire(t, processes[i], claims[i], want)
	}
	r.take()
	var last uint64
	for i := 1; i < n; i++ {
		release(t, processes[i-1], claims[i-1], lease.WasHeld)
		e := next(t, told[i], lease.EventGranted)
		if left := time.Until(e.Until); left <= 0 || left > claims[i].TTL {
			t.Errorf("valid for %v", left)
		}
		if e.Token <= last {
			t.Errorf("token %d after %d", e.Token, last)
		}
		last = e.Token
		renew(t, processes[i], claims[i], false, lease.Granted)
	}
	if got := r.take(); got != (counts{txns: n - 1}) {
		t.Errorf("%d hand-offs: %+v", n-1, got)
	}
}

// An answer that is lost: the claim is there, and the same attempt finds it.
func TestLostAnswer(t *testing.T) {
	be, r := counted(t)
	acquire(t, be, wish("warm"), lease.Granted)
	r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		if _, err := commit(); err != nil {
			return nil, err
		}
		return nil, context.DeadlineExceeded
	})
	c := wish("k")
	if _, err := be.Leases().Acquire(within(t, time.Second), c); !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("lost answer: %v", err)
	}
	r.on(nil)
	first := renew(t, be, c, false, lease.Granted)
	if again := acquire(t, be, c, lease.Granted); again.Token != first.Token {
		t.Error("the same attempt got two tokens")
	}
	if s, err := be.Leases().Inspect(within(t, time.Second), "k"); err != nil || len(s.Holders) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	release(t, be, c, lease.WasHeld)
}

// A move to a longer lease is executed and not answered. Until that is known the claim is believed
// in as long as both leases live; then it is on the longer one.
func TestLostMove(t *testing.T) {
	for _, alone := range []bool{false, true} {
		be, r := counted(t)
		c := wish("k")
		c.Alone = alone
		g := acquire(t, be, c, lease.Granted)
		r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
			if _, err := commit(); err != nil {
				return nil, err
			}
			return nil, context.DeadlineExceeded
		})
		c.TTL = 60 * time.Second
		for range 2 {
			if a := ask(t, be, c, false); !errors.Is(a.Err, lease.ErrUnavailable) {
				t.Fatalf("%+v", a)
			}
		}
		r.on(nil)
		short := c
		short.TTL = 2 * time.Second
		if a := renew(t, be, short, false, lease.Granted); a.Left > 8*time.Second {
			t.Errorf("believes in %v without knowing", a.Left)
		}
		a := renew(t, be, c, false, lease.Granted)
		if a.Token != g.Token || a.Left < 50*time.Second {
			t.Errorf("%+v", a)
		}
		s, err := r.Get(within(t, time.Second), be.names.line("k"), clientv3.WithPrefix())
		if err != nil || len(s.Kvs) != 1 || be.lives.find(clientv3.LeaseID(s.Kvs[0].Lease)) == nil {
			t.Errorf("%v, %v", s, err)
		}
		release(t, be, c, lease.WasHeld)
	}
}

// A release that is lost is repeated in the background.
func TestJanitor(t *testing.T) {
	be, r := counted(t)
	c, waiter := wish("k"), wish("k")
	told := events(t, be, waiter)
	acquire(t, be, c, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	r.on(func(func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		return nil, context.DeadlineExceeded
	})
	_, err := be.Leases().Release(within(t, time.Second), lease.Release{Key: "k", Attempt: c.Attempt, Uncertain: true})
	if !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("lost release: %v", err)
	}
	time.Sleep(300 * time.Millisecond)
	r.on(nil)
	next(t, told, lease.EventGranted)
	acquire(t, be, c, lease.Gone)
	eventually(t, "the janitor has nothing to do", func() bool {
		be.janitor.mu.Lock()
		defer be.janitor.mu.Unlock()
		return len(be.janitor.todo) == 0 && !be.janitor.working
	})
}

// What was released leaves nothing behind, on the server and in memory.
func TestNothingIsLeft(t *testing.T) {
	be, r := counted(t)
	for range 20 {
		a, b := wish("k"), wish("k")
		b.Alone = true
		acquire(t, be, a, lease.Granted)
		acquire(t, be, b, lease.Queued)
		release(t, be, a, lease.WasHeld)
		release(t, be, b, lease.WasHeld)
		c := wish("k")
		c.Queue = false
		acquire(t, be, c, lease.Granted)
		release(t, be, c, lease.WasHeld)
	}
	left, err := r.Get(within(t, time.Second), be.opt.Prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || left.Count != 0 {
		t.Errorf("%d keys left, %v", left.Count, err)
	}
	eventually(t, "own leases are revoked", func() bool { return r.revokes.Load() == 20 })
	be.table.mu.Lock()
	defer be.table.mu.Unlock()
	if len(be.table.claims)+len(be.table.lines) != 0 {
		t.Errorf("%d claims and %d lines in memory", len(be.table.claims), len(be.table.lines))
	}
	be.lives.mu.Lock()
	defer be.lives.mu.Unlock()
	if len(be.lives.byID) != 1 {
		t.Errorf("%d leases in memory, want the shared one", len(be.lives.byID))
	}
}
