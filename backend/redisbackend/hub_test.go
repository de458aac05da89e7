package redisbackend

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

// The first waiter opens the subscription; its grant could have been published before it was
// confirmed, so it is told to check.
func TestFirstWaiterChecks(t *testing.T) {
	be, _, _ := counted(t)
	holder, waiter := claim("k"), claim("k")
	held, told := events(t, be, holder), events(t, be, waiter)
	acquire(t, be, holder, lease.Granted)
	if be.sites[0].line.Load() != nil {
		t.Error("subscribed without a waiter")
	}
	if a := acquire(t, be, waiter, lease.Queued); a.Pushed {
		t.Error("events cannot get through yet")
	}
	next(t, told, lease.EventCheck)
	if a := renew(t, be, waiter, true, lease.Queued); !a.Pushed {
		t.Error("events get through now")
	}
	if len(told)+len(held) != 0 {
		t.Error("more events than one")
	}
	release(t, be, holder, lease.WasHeld)
	e := next(t, told, lease.EventGranted)
	if a := renew(t, be, waiter, false, lease.Granted); a.Token != e.Token {
		t.Errorf("token %d was pushed, and is %d", e.Token, a.Token)
	}
}

// A subscription that breaks is made again, and whoever waits is told to check; holders are not.
func TestSubscriptionLost(t *testing.T) {
	client := connect(t, ownServer(t))
	be := open(t, client, &Options{Prefix: "test"})
	holder, waiter := claim("k"), claim("k")
	held, told := events(t, be, holder), events(t, be, waiter)
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	next(t, told, lease.EventCheck)
	for range 3 {
		eventually(t, "events get through", be.sites[0].healthy)
		if n := client.ClientKillByFilter(context.Background(), "TYPE", "pubsub").Val(); n == 0 {
			t.Fatal("there was no subscription")
		}
		next(t, told, lease.EventCheck)
	}
	eventually(t, "events get through", func() bool { return renew(t, be, waiter, true, lease.Queued).Pushed })
	release(t, be, holder, lease.WasHeld)
	next(t, told, lease.EventGranted)
	if len(held) != 0 {
		t.Error("a holder was told to check")
	}
}

// What the subscription missed is found by the check.
func TestGrantMissed(t *testing.T) {
	be, _, client := counted(t)
	holder, waiter := claim("k"), claim("k")
	told := events(t, be, waiter)
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	next(t, told, lease.EventCheck)
	other := open(t, client, &Options{Prefix: be.opt.Prefix})
	record := client.HGet(context.Background(), hash(be, "k"), "c"+string(waiter.Attempt)).Val()
	client.HSet(context.Background(), hash(be, "k"), "c"+string(waiter.Attempt), record+"x") // a channel nobody has
	release(t, other, holder, lease.WasHeld)
	renew(t, be, waiter, true, lease.Granted)
}

func hash(be *Backend, key string) string {
	l, _, _, _ := be.names.lease(key)
	return l
}

// Two backend objects, as in two processes: the release of one pushes to the other.
func TestPushAcrossBackends(t *testing.T) {
	be, _, client := counted(t)
	other := open(t, client, &Options{Prefix: be.opt.Prefix})
	holder, waiter := claim("k"), claim("k")
	waiter.Window = 3 * time.Second
	told := events(t, other, waiter)
	acquire(t, be, holder, lease.Granted)
	acquire(t, other, waiter, lease.Queued)
	next(t, told, lease.EventCheck)
	sent := time.Now()
	release(t, be, holder, lease.WasHeld)
	e := next(t, told, lease.EventGranted)
	if left := e.Until.Sub(sent); left <= 2*time.Second || left > waiter.Window+5*time.Millisecond {
		t.Errorf("valid for %v of a window of %v", left, waiter.Window)
	}
	for _, force := range []bool{false, true} {
		reason := fmt.Sprintf("G 1 2\x00\xff\n %t ", force)
		r := lease.Revocation{Key: "k", Token: e.Token, Reason: reason, Force: force, Grace: 2 * time.Second}
		if found, err := be.Leases().Revoke(within(t, time.Second), r); !found || err != nil {
			t.Fatal(found, err)
		}
		kind := map[bool]lease.EventKind{false: lease.EventAsked, true: lease.EventRevoked}[force]
		got := next(t, told, kind)
		if got.Token != e.Token || got.Ask.Reason != reason {
			t.Errorf("%+v", got)
		}
		if force {
			renew(t, other, waiter, false, lease.Unknown)
			continue
		}
		if got.Ask.Grace <= time.Second || got.Ask.Grace > 2*time.Second {
			t.Errorf("grace %v", got.Ask.Grace)
		}
		a := renew(t, other, waiter, false, lease.Granted)
		if a.Asked == nil || a.Asked.Reason != reason || a.Asked.Grace > 2*time.Second || a.Asked.Grace <= time.Second {
			t.Errorf("the renewal says %+v", a.Asked)
		}
	}
}

// A reference of another clock: the grant is not believed, and the owner told to check.
func TestPushOfAnotherClock(t *testing.T) {
	be, _, _ := counted(t)
	holder, waiter := claim("k"), claim("k")
	told := events(t, be, waiter)
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	next(t, told, lease.EventCheck)
	be.sites[0].clock.reset(time.Now(), time.Now().Add(-time.Hour).UnixMilli())
	l := be.sites[0].line.Load()
	ahead := time.Now().UnixMilli()
	l.receive(fmt.Sprintf("G %s 7 %d %d", waiter.Attempt, ahead+3000, ahead))
	if e := <-told; e.Kind != lease.EventCheck {
		t.Errorf("%+v", e)
	}
}

func TestIdleLineEnds(t *testing.T) {
	be, _, _ := counted(t)
	subscribe(t, be)
	l := be.sites[0].line.Load()
	be.hub.mu.Lock()
	l.retire()
	be.hub.mu.Unlock()
	if be.sites[0].healthy() {
		t.Error("healthy without a subscription")
	}
	subscribe(t, be) // opens another
}

// Close in the middle of subscribing waits for it and leaves nothing behind.
func TestCloseWhileSubscribing(t *testing.T) {
	_, _, client := counted(t)
	for range 20 {
		be := open(t, client, nil)
		acquire(t, be, claim("k"), lease.Granted)
		acquire(t, be, claim("k"), lease.Queued)
		if err := be.Close(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}
