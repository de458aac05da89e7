package etcdbackend

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// keep renews a claim until stop is called.
func keep(be *Backend, c lease.Claim) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			be.Leases().Renew(ctx, []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL}})
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// More releases go unanswered than are kept. Those beyond the bound end with their lease, while
// those who still hold on it move to another one and notice nothing.
func TestJanitorIsBounded(t *testing.T) {
	const beyond = 5
	be, r := counted(t)
	short := func(key string) lease.Claim {
		c := wish(key)
		c.TTL = minTTL
		return c
	}
	good, alone := short("good"), short("alone")
	alone.Alone = true
	token := acquire(t, be, good, lease.Granted).Token
	acquire(t, be, alone, lease.Granted)
	first := shared(be, minTTL)
	kept := keep(be, good) // what follows may take longer than its TTL, and who does not ask loses it
	all := make([]lease.Claim, maxTodo+beyond)
	var senders sync.WaitGroup
	for n := range 16 {
		senders.Go(func() {
			for i := n; i < len(all); i += 16 {
				all[i] = short("k" + strconv.Itoa(i))
				if a, err := be.Leases().Acquire(context.Background(), all[i]); err != nil || a.Status != lease.Granted {
					t.Errorf("%+v, %v", a, err)
				}
			}
		})
	}
	senders.Wait()

	r.on(func(func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		return nil, context.DeadlineExceeded
	})
	for _, c := range append(all, alone) {
		_, err := be.Leases().Release(context.Background(), lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true})
		if !errors.Is(err, lease.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	be.janitor.mu.Lock()
	todo := len(be.janitor.todo)
	be.janitor.mu.Unlock()
	if todo != maxTodo {
		t.Errorf("%d releases are kept, want %d", todo, maxTodo)
	}
	kept()
	renew(t, be, good, false, lease.Granted) // it cannot move yet
	r.on(nil)
	if a := renew(t, be, good, false, lease.Granted); a.Token != token {
		t.Errorf("token %d after %d", a.Token, token)
	}
	fresh := short("new")
	acquire(t, be, fresh, lease.Granted)
	if shared(be, minTTL) == first {
		t.Error("new claims are put on the lease that was given up")
	}

	back := time.Now()
	claims := func() int64 {
		renew(t, be, good, false, lease.Granted)
		renew(t, be, fresh, false, lease.Granted)
		n, err := r.Get(within(t, 5*time.Second), be.names.claims, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return n.Count
	}
	eventually(t, "only what is held is left", func() bool { return claims() == 2 })
	t.Logf("%d claims ended by release and %d with their lease, within %v", maxTodo, beyond+1, time.Since(back).Round(time.Millisecond))
	if a := renew(t, be, good, false, lease.Granted); a.Token != token {
		t.Errorf("token %d after %d", a.Token, token)
	}
	eventually(t, "the lease that was given up is forgotten", func() bool { return be.lives.find(first) == nil })
	be.table.mu.Lock()
	defer be.table.mu.Unlock()
	if n := len(be.table.claims); n != 2 {
		t.Errorf("%d claims in memory, want 2", n)
	}
}
