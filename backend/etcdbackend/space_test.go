package etcdbackend

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
)

// A server without space takes no new claims, whatever else it answers. What is held is kept and
// can be released, and the next in line is granted. Only tombstones have to wait.
func TestOutOfSpace(t *testing.T) {
	k := ownCluster(t, 1, "--quota-backend-bytes", fmt.Sprint(4<<20))
	client := connect(t, k.endpoints)
	r := newRelay(t, client)
	be := openWith(t, r, &Options{Prefix: "test", Logger: quiet()})
	other := openWith(t, client, &Options{Prefix: "test", Logger: quiet()})
	held, waiter, last, unsure := wish("k"), wish("k"), wish("k"), wish("u")
	held.TTL = minTTL
	acquire(t, be, held, lease.Granted)
	acquire(t, other, waiter, lease.Queued)
	acquire(t, be, last, lease.Queued)
	acquire(t, be, unsure, lease.Granted)
	fill(t, client)

	for _, key := range []string{"k", "new"} {
		c := wish(key)
		c.TTL = held.TTL // on a lease that is there
		start := time.Now()
		_, err := be.Leases().Acquire(within(t, 5*time.Second), c)
		if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, rpctypes.ErrNoSpace) || time.Since(start) > time.Second {
			t.Errorf("acquire %q: %v", key, err)
		}
	}
	c := wish("new")
	c.TTL = time.Hour // on a lease of its own
	if _, err := be.Leases().Acquire(within(t, 5*time.Second), c); !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("acquire with a new lease: %v", err)
	}
	var report *check.Error
	if err := be.Check(within(t, 5*time.Second)); !errors.As(err, &report) || !strings.Contains(err.Error(), "out of space") {
		t.Errorf("check: %v", err)
	}

	keeps := r.keeps.Load()
	eventually(t, "the lease is renewed some times", func() bool {
		renew(t, be, held, false, lease.Granted)
		return r.keeps.Load() >= keeps+4
	})
	renew(t, be, held, false, lease.Granted)
	told, toldLast := events(t, other, waiter), events(t, be, last)
	release(t, be, held, lease.WasHeld)
	next(t, told, lease.EventGranted)
	release(t, other, waiter, lease.WasHeld)
	next(t, toldLast, lease.EventGranted)
	release(t, be, last, lease.WasHeld)

	// Its key is free at once, its tombstone comes when there is space again.
	_, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: "u", Attempt: unsure.Attempt, Uncertain: true})
	if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("uncertain release: %v", err)
	}
	if s, err := other.Leases().Inspect(within(t, 5*time.Second), "u"); err != nil || len(s.Holders) != 0 {
		t.Errorf("after an uncertain release: %+v, %v", s, err)
	}
	makeRoom(t, client, k.endpoints[0])
	eventually(t, "the tombstone is written", func() bool {
		g, err := client.Get(within(t, 5*time.Second), be.names.tombstone(unsure.Attempt), clientv3.WithCountOnly())
		return err == nil && g.Count == 1
	})
	acquire(t, be, unsure, lease.Gone)
	acquire(t, be, wish("new"), lease.Granted)
}

// fill writes until the server says that it is full.
func fill(t *testing.T, client *clientv3.Client) {
	t.Helper()
	block := strings.Repeat("x", 512<<10)
	for i := range 100 {
		_, err := client.Put(within(t, 5*time.Second), fmt.Sprint("filler", i%2), block)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the server is not full")
}

// makeRoom does what an operator does for a full server.
func makeRoom(t *testing.T, client *clientv3.Client, endpoint string) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	r, err := client.Delete(ctx, "filler", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Defragment(ctx, endpoint); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{Alarm: etcdserverpb.AlarmType_NOSPACE, MemberID: r.Header.MemberId}); err != nil {
		t.Fatal(err)
	}
}
