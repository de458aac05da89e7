package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// Somebody revokes the shared lease of a process: all locks on it are lost, at once and with the
// right cause, and those of another TTL are not.
func TestRevokedLeaseEndsAllLocksOnIt(t *testing.T) {
	client := connect(t, endpoints(t))
	be := open(t, client, &Options{Logger: quiet()})
	short, long := lockerOf(t, be, 8*time.Second), lockerOf(t, be, 20*time.Second)
	ctx := within(t, 20*time.Second)
	var lost []*lock.Lease
	for i := range 5 {
		l, err := short.Acquire(ctx, fmt.Sprint("k", i))
		if err != nil {
			t.Fatal(err)
		}
		lost = append(lost, l)
	}
	kept, err := long.Acquire(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Revoke(ctx, shared(be, 8*time.Second)); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	for _, l := range lost {
		select {
		case <-l.Context().Done():
		case <-ctx.Done():
			t.Fatalf("%s: not lost", l.Key())
		}
		var why *lock.LostError
		if !errors.As(context.Cause(l.Context()), &why) || why.Cause != lock.BackendLost {
			t.Errorf("%s: %v, want backend lost", l.Key(), context.Cause(l.Context()))
		}
		if err := l.Release(ctx); !errors.Is(err, lock.ErrNotHeld) {
			t.Errorf("%s: release: %v", l.Key(), err)
		}
	}
	took := time.Since(revoked)
	if took > 2*time.Second { // a third of the TTL would be 2.7 s
		t.Errorf("noticed after %v", took)
	}
	t.Logf("noticed after %v", took.Round(time.Millisecond))
	if !kept.Valid(0) {
		t.Errorf("kept: %v", context.Cause(kept.Context()))
	}
	again, err := short.Acquire(ctx, "k0") // on a new lease
	if err != nil {
		t.Fatal(err)
	}
	if again.Token() <= lost[0].Token() {
		t.Errorf("token %v after %v", again.Token(), lost[0].Token())
	}
}

// A claim that its owner does not ask about any more ends when that one cannot believe in it any
// more, though others keep the lease alive.
func TestNeglectedClaimEnds(t *testing.T) {
	be := open(t, nil, &Options{Logger: quiet()})
	neglected, kept, waiter := wish("k"), wish("kept"), wish("k")
	neglected.TTL, kept.TTL, waiter.TTL = minTTL, minTTL, 20*time.Second
	told := events(t, be, waiter)
	acquire(t, be, kept, lease.Granted)
	start := time.Now()
	a := acquire(t, be, neglected, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	for asking := true; asking; {
		select {
		case e := <-told:
			asking = e.Kind != lease.EventGranted
		case <-time.After(100 * time.Millisecond):
			renew(t, be, kept, false, lease.Granted)
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("nobody is granted")
		}
	}
	if took := time.Since(start); took < a.Left {
		t.Errorf("ended after %v, its owner could believe in it for %v", took, a.Left)
	}
	renew(t, be, neglected, false, lease.Unknown)
}

// lockerOf is a Locker on a backend.
func lockerOf(t *testing.T, be *Backend, ttl time.Duration) *lock.Locker {
	t.Helper()
	locks, err := lock.New(be.Leases(), &lock.Options{TTL: ttl, Hooks: &lock.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := locks.Close(within(t, 20*time.Second)); err != nil {
			t.Error(err)
		}
	})
	return locks
}

// Nothing answers at the start: one error, in bounded time, also for a caller without a deadline.
func TestNoServerAtTheStart(t *testing.T) {
	t.Parallel()
	for name, endpoint := range map[string]string{"refused": "127.0.0.1:1", "silent": silent(t)} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, []string{endpoint})
			locks := lockerOf(t, openWith(t, client, &Options{Logger: quiet()}), minTTL)
			start := time.Now()
			_, err := locks.Acquire(context.Background(), "k")
			if !errors.Is(err, lock.ErrUnavailable) {
				t.Errorf("acquire: %v", err)
			}
			if took := time.Since(start); took > minTTL+2*time.Second {
				t.Errorf("acquire took %v", took)
			}
			start = time.Now()
			if _, err := locks.TryAcquire(context.Background(), "k"); !errors.Is(err, lock.ErrUnavailable) {
				t.Errorf("try: %v", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("try took %v", took)
			}
			t.Log(err)
		})
	}
}

// A TTL that etcd cannot keep is refused by name and limit; one between its steps is rounded up.
func TestTTLBelowTheMinimum(t *testing.T) {
	be := open(t, nil, nil)
	_, err := lock.New(be.Leases(), &lock.Options{TTL: time.Second})
	var invalid *lock.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "TTL" || invalid.Problem != "must be 2s to 24h0m0s" {
		t.Errorf("%v", err)
	}
	c := wish("k")
	c.TTL = lease.MinTTL - 1
	_, err = be.Leases().Acquire(within(t, 5*time.Second), c)
	if !errors.As(err, &invalid) || invalid.Field != "TTL" || errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	c.TTL = lease.MinTTL // of the port: a user of the port gets more
	if a := acquire(t, be, c, lease.Granted); a.Left <= time.Second || a.Left > minTTL {
		t.Errorf("%v left", a.Left)
	}
	left, err := be.client.(*clientv3.Client).TimeToLive(within(t, time.Second), shared(be, minTTL))
	if err != nil || left.GrantedTTL != 2 {
		t.Errorf("%+v, %v", left, err)
	}
}
