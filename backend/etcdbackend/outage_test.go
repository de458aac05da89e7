package etcdbackend

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// While nothing can be reached, the background work must not spin.
func TestNoSpinWithoutAServer(t *testing.T) {
	k := ownCluster(t, 1)
	be := open(t, connect(t, k.endpoints), &Options{Prefix: "p", Logger: quiet()})
	c := wish("k")
	c.TTL = 3 * time.Second
	acquire(t, be, c, lease.Granted)
	k.kill(0)
	time.Sleep(1200 * time.Millisecond) // the renewal is due
	before := cpu(t)
	time.Sleep(1500 * time.Millisecond)
	if used := cpu(t) - before; used > 150*time.Millisecond {
		t.Errorf("used the processor for %v in 1.5 s", used)
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// locker is a process of its own.
func locker(t *testing.T, k *cluster, ttl time.Duration) *lock.Locker {
	t.Helper()
	be := openWith(t, connect(t, k.endpoints), &Options{Logger: quiet()})
	locks, err := lock.New(be.Leases(), &lock.Options{TTL: ttl})
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

// contend has one process hold a key and another wait for it, does something, and hands over.
func contend(t *testing.T, k *cluster, disturb func()) (took time.Duration) {
	t.Helper()
	ctx := within(t, 60*time.Second)
	first, second := locker(t, k, 13*time.Second), locker(t, k, 13*time.Second)
	held, err := first.Acquire(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *lock.Lease, 1)
	go func() {
		defer close(got)
		l, err := second.Acquire(ctx, "k")
		if err != nil {
			t.Error(err)
			return
		}
		got <- l
	}()
	eventually(t, "the second waits", func() bool {
		s, err := first.Inspect(ctx, "k")
		return err == nil && s.Waiting == 1
	})
	disturb()
	select {
	case l := <-got:
		t.Fatalf("granted while held: %v", l)
	default:
	}
	if err := held.Context().Err(); err != nil {
		t.Fatalf("lost: %v", context.Cause(held.Context()))
	}
	start := time.Now()
	// Without a leader the release is not answered in time; then the background goes on with it.
	if err := held.Release(ctx); err != nil && !errors.Is(err, lease.ErrUncertain) {
		t.Fatal(err)
	}
	l := <-got
	took = time.Since(start)
	if l == nil {
		t.FailNow()
	}
	if l.Token() <= held.Token() {
		t.Errorf("token %v after %v", l.Token(), held.Token())
	}
	if err := l.Release(ctx); err != nil && !errors.Is(err, lease.ErrUncertain) {
		t.Error(err)
	}
	return took
}

// A leader that is killed costs nobody his lock, and the next is granted all the same.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	k := ownCluster(t, 3)
	client := connect(t, k.endpoints)
	took := contend(t, k, func() {
		k.kill(k.leader(t, client))
		time.Sleep(6 * time.Second)
	})
	t.Logf("handed over in %v", took)
}

// A member that is stopped keeps connections and answers nothing. Whose watch was there opens
// another one elsewhere.
func TestMemberStopped(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		k := ownCluster(t, 3)
		took := contend(t, k, func() { k.signal(t, i, syscall.SIGSTOP) })
		k.signal(t, i, syscall.SIGCONT)
		t.Logf("member %d stopped: handed over in %v", i, took)
		if took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	}
}
