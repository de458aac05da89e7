package etcdbackend

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// shared returns the id of the shared lease of a TTL.
func shared(be *Backend, ttl time.Duration) clientv3.LeaseID {
	be.lives.mu.Lock()
	defer be.lives.mu.Unlock()
	return be.lives.shared[span{ttl: classOf(ttl)}].line.id
}

// A lease that is revoked under its claims ends the held ones and those that wait. Nobody is
// granted by it who was on it.
func TestLeaseRevokedUnderItsClaims(t *testing.T) {
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	victim, other := openWith(t, client, &Options{Prefix: prefix, Logger: quiet()}), openWith(t, client, &Options{Prefix: prefix})
	held, waits, winner := wish("a"), wish("b"), wish("a")
	blocker := wish("b")
	blocker.TTL = 20 * time.Second // on another lease
	toldHeld, toldWaits, toldWinner := events(t, victim, held), events(t, victim, waits), events(t, other, winner)
	g := acquire(t, victim, held, lease.Granted)
	acquire(t, victim, blocker, lease.Granted)
	acquire(t, victim, waits, lease.Queued)
	acquire(t, other, winner, lease.Queued)
	if _, err := client.Revoke(within(t, 5*time.Second), shared(victim, held.TTL)); err != nil {
		t.Fatal(err)
	}
	next(t, toldHeld, lease.EventCheck)
	next(t, toldWaits, lease.EventCheck)
	if e := next(t, toldWinner, lease.EventGranted); e.Token <= g.Token {
		t.Errorf("token %d after %d", e.Token, g.Token)
	}
	renew(t, victim, held, false, lease.Unknown)
	renew(t, victim, waits, true, lease.Unknown)
	again := acquire(t, victim, waits, lease.Queued) // on a new lease, with the same attempt
	if again.Rank != 0 {
		t.Errorf("rank %d", again.Rank)
	}
	release(t, victim, blocker, lease.WasHeld)
	next(t, toldWaits, lease.EventGranted)
}

// The lease ends before the place gets free: the claim must not be granted, on one stream.
func TestNotGrantedWithoutAClaim(t *testing.T) {
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	first, second := openWith(t, client, &Options{Prefix: prefix}), openWith(t, client, &Options{Prefix: prefix, Logger: quiet()})
	holder, waiter := wish("k"), wish("k")
	told := events(t, second, waiter)
	acquire(t, first, holder, lease.Granted)
	acquire(t, second, waiter, lease.Queued)
	if _, err := client.Revoke(within(t, 5*time.Second), shared(second, waiter.TTL)); err != nil {
		t.Fatal(err)
	}
	release(t, first, holder, lease.WasHeld)
	checked(t, told)
	renew(t, second, waiter, true, lease.Unknown)
	ungranted(t, told)
}

// checked waits for EventCheck, and for no grant before it.
func checked(t *testing.T, told <-chan lease.Event) {
	t.Helper()
	select {
	case e := <-told:
		if e.Kind != lease.EventCheck {
			t.Fatalf("%+v, want EventCheck", e)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("no event")
	}
}

func ungranted(t *testing.T, told <-chan lease.Event) {
	t.Helper()
	for len(told) > 0 {
		if e := <-told; e.Kind == lease.EventGranted {
			t.Fatal("granted without a claim")
		}
	}
}

// Renewals that get no answer: the claims end when the lease may have ended, not later, and a
// renewal that is answered after that brings nothing back.
func TestUnansweredKeepAlive(t *testing.T) {
	be, r := counted(t)
	c := wish("k")
	c.TTL = 2 * time.Second
	acquire(t, be, wish("warm"), lease.Granted) // on another lease; the watch stands
	sent := time.Now()
	acquire(t, be, c, lease.Granted)
	r.onKeep(func(func() (*clientv3.LeaseKeepAliveResponse, error)) (*clientv3.LeaseKeepAliveResponse, error) {
		return nil, context.DeadlineExceeded
	})
	failures := 0
	for {
		at := time.Now()
		a := ask(t, be, c, false)
		if a.Err != nil { // nothing new is known
			if !errors.Is(a.Err, lease.ErrUnavailable) {
				t.Fatal(a.Err)
			}
			failures++
		} else if a.Status == lease.Unknown {
			break
		}
		if end := at.Add(a.Left); end.After(sent.Add(c.TTL + 5*time.Millisecond)) {
			t.Fatalf("believes in %v after %v", a.Left, at.Sub(sent))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(sent); took < c.TTL-100*time.Millisecond || failures == 0 {
		t.Errorf("ended after %v and %d failures", took, failures)
	}
	r.onKeep(nil)
	for range 5 {
		renew(t, be, c, false, lease.Unknown)
		time.Sleep(50 * time.Millisecond)
	}
	acquire(t, be, c, lease.Granted)
}

// Renewals are answered again before the end: nothing is lost, and the failures were not a storm.
func TestKeepAliveIsRetried(t *testing.T) {
	be, r := counted(t)
	c := wish("k")
	c.TTL = 3 * time.Second
	g := acquire(t, be, c, lease.Granted)
	r.onKeep(func(func() (*clientv3.LeaseKeepAliveResponse, error)) (*clientv3.LeaseKeepAliveResponse, error) {
		return nil, errors.New("lost")
	})
	time.Sleep(2200 * time.Millisecond)
	tries := r.keeps.Load()
	if tries < 3 || tries > 20 {
		t.Errorf("%d tries", tries)
	}
	r.onKeep(nil)
	eventually(t, "it is renewed", func() bool { return ask(t, be, c, false).Left > 2*time.Second })
	if a := renew(t, be, c, false, lease.Granted); a.Token != g.Token {
		t.Error("another token")
	}
}

// apart is two processes, of which the second waits for a key that the first holds; the watch of
// the second can be cut.
func apart(t *testing.T) (first, second *Backend, r *relay, holder, waiter lease.Claim, told <-chan lease.Event) {
	t.Helper()
	client := connect(t, endpoints(t))
	prefix := freshPrefix(t, client)
	r = newRelay(t, client)
	first = openWith(t, client, &Options{Prefix: prefix})
	second = openWith(t, r, &Options{Prefix: prefix, Logger: quiet()})
	holder, waiter = wish("k"), wish("k")
	told = events(t, second, waiter)
	acquire(t, first, holder, lease.Granted)
	acquire(t, second, waiter, lease.Queued)
	return
}

// A watch that was lost goes on where it was: the grant is learnt from it.
func TestWatchGoesOn(t *testing.T) {
	first, second, r, holder, waiter, told := apart(t)
	mend := r.cut()
	eventually(t, "the watch is known to be lost", func() bool { return !second.hub.healthy() })
	if a := renew(t, second, waiter, true, lease.Queued); a.Pushed {
		t.Error("says that events get through")
	}
	r.take()
	release(t, first, holder, lease.WasHeld)
	mend()
	g := next(t, told, lease.EventGranted)
	if n := r.take(); n.txns != 0 {
		t.Errorf("%+v: it asked", n)
	}
	eventually(t, "the watch has caught up", second.hub.healthy)
	if a := renew(t, second, waiter, false, lease.Granted); a.Token != g.Token {
		t.Error("another token")
	}
}

// While the watch is lost, a waiting claim learns of its grant by asking.
func TestAskingWithoutAWatch(t *testing.T) {
	first, second, r, holder, waiter, _ := apart(t)
	mend := r.cut()
	defer mend()
	eventually(t, "the watch is known to be lost", func() bool { return !second.hub.healthy() })
	release(t, first, holder, lease.WasHeld)
	renew(t, second, waiter, true, lease.Granted)
	release(t, second, waiter, lease.WasHeld)
}

func compact(t *testing.T, client *clientv3.Client) {
	t.Helper()
	ctx := within(t, 5*time.Second)
	r, err := client.Put(ctx, "compact-here", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

// What happened while the watch was lost is compacted away before it is back. Nobody is granted or
// ended by silence: everybody checks.
func TestCompactionDuringAWait(t *testing.T) {
	first, second, r, holder, waiter, told := apart(t)
	own := wish("own")
	toldOwn := events(t, second, own)
	acquire(t, second, own, lease.Granted)
	mend := r.cut()
	eventually(t, "the watch is known to be lost", func() bool { return !second.hub.healthy() })
	release(t, first, holder, lease.WasHeld)
	compact(t, r.Client)
	mend()
	next(t, told, lease.EventCheck)
	next(t, toldOwn, lease.EventCheck)
	r.take()
	renew(t, second, waiter, true, lease.Granted)
	renew(t, second, own, false, lease.Granted)
	if n := r.take(); n.txns != 2 {
		t.Errorf("%+v, want one reading for each claim", n)
	}
	renew(t, second, own, false, lease.Granted)
	if n := r.take(); n.txns != 0 {
		t.Errorf("%+v after the readings", n)
	}
}

// The claim itself was ended while nobody watched, and then the way got free.
func TestCompactionHidesAnEnd(t *testing.T) {
	first, second, r, holder, waiter, told := apart(t)
	behind := wish("k")
	acquire(t, first, behind, lease.Queued)
	mend := r.cut()
	eventually(t, "the watch is known to be lost", func() bool { return !second.hub.healthy() })
	if _, err := r.Delete(within(t, time.Second), second.table.find(waiter.Attempt, second.names.line("k")).seat, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	compact(t, r.Client)
	mend()
	checked(t, told)
	release(t, first, holder, lease.WasHeld)
	eventually(t, "the deletion is known", func() bool {
		second.table.mu.Lock()
		defer second.table.mu.Unlock()
		return len(second.table.claims[waiter.Attempt].ahead.parts) == 0
	})
	time.Sleep(20 * time.Millisecond)
	ungranted(t, told)
	renew(t, second, waiter, true, lease.Unknown)
	renew(t, first, behind, true, lease.Granted)
}

// A member that accepts everything and tells nothing is left for another one.
func TestSilentWatchIsOpenedAnew(t *testing.T) {
	be, r := counted(t)
	be.hub.pace = pace{every: 100 * time.Millisecond, wait: 500 * time.Millisecond}
	c := wish("k")
	acquire(t, be, c, lease.Granted)
	time.Sleep(500 * time.Millisecond)
	if n := r.watches.Load(); n != 2 || !be.hub.healthy() {
		t.Fatalf("%d watches opened while all was well", n)
	}
	r.mu.Lock()
	r.mute = true
	r.mu.Unlock()
	eventually(t, "another is opened", func() bool { return r.watches.Load() > 2 })
	r.mu.Lock()
	r.mute = false
	r.mu.Unlock()
	eventually(t, "it is healthy", be.hub.healthy)
	renew(t, be, c, false, lease.Granted)
}

// More claims stand before one than it reads: it reads again when those have gone.
func TestLongLine(t *testing.T) {
	first, second, r, holder, head, _ := apart(t)
	line := []lease.Claim{holder}
	for range known + 10 {
		c := wish("k")
		acquire(t, first, c, lease.Queued)
		line = append(line, c)
	}
	last := wish("k")
	told := events(t, second, last)
	if a := acquire(t, second, last, lease.Queued); a.Rank != known+11 {
		t.Errorf("rank %d", a.Rank)
	}
	for _, c := range line {
		if _, err := first.Leases().Release(within(t, 5*time.Second), lease.Release{Key: "k", Attempt: c.Attempt}); err != nil {
			t.Fatal(err)
		}
	}
	release(t, second, head, lease.WasHeld)
	next(t, told, lease.EventCheck)
	r.take()
	renew(t, second, last, true, lease.Granted)
	if n := r.take(); n.txns != 1 {
		t.Errorf("%+v, want one reading", n)
	}
}
