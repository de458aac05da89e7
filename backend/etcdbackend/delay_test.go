package etcdbackend

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// holdOff is a wish to hold "k", of which others are kept away for a while after an unclean end.
func holdOff(delay time.Duration) lease.Claim {
	c := wish("k")
	c.TTL, c.Delay = minTTL, delay
	return c
}

// crash ends the renewals of a backend, as the end of its process does.
func crash(t *testing.T, be *Backend) {
	t.Helper()
	if err := be.Close(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
}

// grantedAfter waits for the grant of a waiting claim and returns when it was known.
func grantedAfter(t *testing.T, told <-chan lease.Event) time.Time {
	t.Helper()
	next(t, told, lease.EventGranted)
	return time.Now()
}

// A holder dies. Its key is kept from others for the delay after the end that it believed in, and
// not for much longer.
func TestDelayAfterACrash(t *testing.T) {
	t.Parallel()
	for name, weight := range map[string]int64{"lock": 1, "heavy": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be, _ := processes(t, 2)
			const delay = 3 * time.Second
			holder, waiter := holdOff(delay), wish("k")
			holder.Weight, holder.Limit, waiter.Limit = weight, weight, weight
			told := events(t, be[1], waiter)
			acquire(t, be[0], holder, lease.Granted)
			acquire(t, be[1], waiter, lease.Queued)
			time.Sleep(time.Second) // it was renewed once
			believed := time.Now().Add(renew(t, be[0], holder, false, lease.Granted).Left)
			crash(t, be[0])
			took := grantedAfter(t, told).Sub(believed)
			t.Logf("granted %v after the end of the holder's belief", took)
			if took < delay || took > delay+3*time.Second {
				t.Errorf("granted %v after the end of the holder's belief, want %v", took, delay)
			}
		})
	}
}

// A claim whose lease was ended from outside has lapsed: neither its release nor the next claim of
// its process, which must not come into its place, cuts the delay short.
func TestLateReleaseKeepsTheDelay(t *testing.T) {
	t.Parallel()
	be, _ := processes(t, 1)
	const delay = 4 * time.Second
	holder, again := holdOff(delay), holdOff(delay)
	again.TTL = 20 * time.Second // nobody renews it
	acquire(t, be[0], holder, lease.Granted)
	life := be[0].table.find(holder.Attempt, be[0].names.line("k")).life
	start := time.Now()
	if _, err := be[0].client.Revoke(within(t, time.Second), life.id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is known to have lapsed", func() bool { return ask(t, be[0], holder, false).Status == lease.Unknown })
	acquire(t, be[0], holder, lease.Held)
	release(t, be[0], holder, lease.WasLapsed)
	told := events(t, be[0], again)
	acquire(t, be[0], again, lease.Queued)
	if took := grantedAfter(t, told).Sub(start); took < delay {
		t.Errorf("granted after %v", took)
	}
	release(t, be[0], again, lease.WasHeld)
}

// A move to a longer lease takes the shade along.
func TestShadeMoves(t *testing.T) {
	be, r := counted(t)
	c := holdOff(time.Second)
	c.Weight, c.Limit = 2, 2
	acquire(t, be, c, lease.Granted)
	c.TTL = 60 * time.Second
	if a := renew(t, be, c, false, lease.Granted); a.Left < 50*time.Second {
		t.Errorf("%v left", a.Left)
	}
	life := be.table.find(c.Attempt, be.names.line("k")).life
	keys, err := r.Get(within(t, time.Second), be.names.line("k"), clientv3.WithPrefix())
	if err != nil || len(keys.Kvs) != 4 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, kv := range keys.Kvs {
		m, ok := parseMember(string(kv.Key), kv.CreateRevision)
		if !ok || clientv3.LeaseID(kv.Lease) != life.under(&m) || kv.CreateRevision != keys.Kvs[0].CreateRevision {
			t.Errorf("%s is on lease %x", kv.Key, kv.Lease)
		}
	}
	release(t, be, c, lease.WasHeld)
	if left, err := r.Get(within(t, time.Second), be.names.line("k"), clientv3.WithPrefix()); err != nil || len(left.Kvs) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestTripsOfDelay(t *testing.T) {
	be, r := counted(t)
	warm := holdOff(5 * time.Second)
	warm.Key = "warm"
	acquire(t, be, warm, lease.Granted)
	if n := r.take(); n != (counts{txns: 1, grants: 2}) {
		t.Errorf("first acquire: %+v", n)
	}
	c := holdOff(5 * time.Second)
	acquire(t, be, c, lease.Granted)
	release(t, be, c, lease.WasHeld)
	if n := r.take(); n != (counts{txns: 2}) {
		t.Errorf("acquire and release: %+v", n)
	}
	c.Attempt = lease.NewAttempt()
	acquire(t, be, c, lease.Granted)
	was, err := be.Leases().Release(within(t, time.Second), lease.Release{Key: "k", Attempt: c.Attempt, Unclean: true})
	if n := r.take(); n != (counts{txns: 2, grants: 1}) || was != lease.WasHeld || err != nil {
		t.Errorf("unclean release: %+v, %v, %v", n, was, err)
	}
}
