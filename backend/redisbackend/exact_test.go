//go:build !race

package redisbackend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// counter counts the scripts that a client sends.
type counter struct{ atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			c.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestExactTwoRequestsAHandOff: a grant costs its owner one request to ask and one to release,
// however many wait, and everybody gets his share.
func TestExactTwoRequestsAHandOff(t *testing.T) {
	for _, waiters := range []int{16, 64} {
		t.Run(fmt.Sprint(waiters), func(t *testing.T) {
			const rounds = 25
			client, prefix := testClient(t)
			var sent counter
			client.AddHook(&sent)
			processes := make([]*lock.Locker, waiters)
			for i := range processes {
				processes[i] = testLocker(t, client, prefix, &lock.Options{TTL: 30 * time.Second})
			}
			contend := func(rounds int) {
				t.Helper()
				gate, err := testLocker(t, client, prefix, nil).Acquire(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for _, p := range processes {
					wg.Go(func() {
						for range rounds {
							if err := p.Do(t.Context(), "k", func(context.Context, *lock.Lease) error { return nil }); err != nil {
								t.Error(err)
							}
						}
					})
				}
				waitFor(t, func() bool {
					s, err := processes[0].Inspect(t.Context(), "k")
					return err == nil && s.Waiting == waiters
				})
				sent.Store(0)
				if err := gate.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
			}
			contend(1) // subscriptions are made with the first wait
			contend(rounds)
			// The first acquire of each was sent before the count began, the gate's release after it.
			want := int64(2*waiters*rounds - waiters + 1)
			if got := sent.Load(); got != want {
				t.Errorf("%d requests for %d hand-offs, want %d", got, waiters*rounds, want)
			}
		})
	}
}

// TestExactRenewalsOfTenThousand: what is held costs requests by the hundred.
func TestExactRenewalsOfTenThousand(t *testing.T) {
	const held, ttl = 10_000, 6 * time.Second
	client, prefix := testClient(t)
	var sent counter
	client.AddHook(&sent)
	var lost atomic.Int64
	locks := testLocker(t, client, prefix, &lock.Options{TTL: ttl, Hooks: &lock.Hooks{
		Lost: func(i lock.Info) {
			var e *lock.LostError
			if errors.As(i.Err, &e) && e.Cause != lock.Closed && lost.Add(1) == 1 {
				t.Errorf("first loss: %v", e)
			}
		}}})
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < held; i += 32 {
				if _, err := locks.Acquire(t.Context(), fmt.Sprint("k", i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	time.Sleep(ttl / 3)
	sent.Store(0)
	const periods = 3
	time.Sleep(periods * ttl / 3)
	n := sent.Load()
	t.Logf("%d locks: %.0f requests in a third of the TTL", held, float64(n)/periods)
	if n > periods*200 || n < periods*held/100-held/100 {
		t.Errorf("%d requests in %d thirds of the TTL, want about %d and at most %d", n, periods, periods*held/100, periods*200)
	}
	if lost.Load() != 0 {
		t.Errorf("%d locks lost", lost.Load())
	}
}

// TestExactManyKeys: what was released leaves nothing, but the counters of the buckets.
func TestExactManyKeys(t *testing.T) {
	const keys = 200_000
	client, prefix := testClient(t)
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	leases := be.Leases()
	const workers = 64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			for i := w; i < keys; i += workers {
				c := lease.Claim{Key: fmt.Sprint("user/", i), Attempt: lease.NewAttempt(), TTL: time.Minute, Weight: 1, Limit: 1}
				if a, err := leases.Acquire(ctx, c); err != nil || a.Status != lease.Granted {
					t.Errorf("acquire: %v, %v", a.Status, err)
					return
				}
				if was, err := leases.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt}); err != nil || was != lease.WasHeld {
					t.Errorf("release: %v, %v", was, err)
					return
				}
			}
		})
	}
	wg.Wait()
	left := 0
	for it := client.Scan(t.Context(), 0, prefix+":*", 1000).Iterator(); it.Next(t.Context()); {
		left++
	}
	if left != 128 {
		t.Errorf("%d keys left after %d locks, want the 128 counters", left, keys)
	}
	if err := be.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestExactAllocations pins what a lock costs over Redis, client library included, under a context
// that can be cancelled.
func TestExactAllocations(t *testing.T) {
	client, prefix := testClient(t)
	locks := testLocker(t, client, prefix, nil)
	pair := func() {
		l, err := locks.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pair()
	const limit = 57
	if n := testing.AllocsPerRun(500, pair); n > limit {
		t.Errorf("%v allocations for acquire and release, want at most %d", n, limit)
	}
}
