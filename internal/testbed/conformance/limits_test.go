package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/ratelimit"
)

// The port keeps its promises where calls share requests.
func TestSharedLimitsOnCluster(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: testbed.ClusterAddrs(t), ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend {
		return openRedis(t, client, &redisbackend.Options{CoalesceLimits: true}).Limits()
	})
}

// While a slot moves from node to node, each op of a batch on its keys is counted once, or not at all if
// it is answered with an error.
func TestLimitsWhileASlotMoves(t *testing.T) {
	t.Run("own requests", func(t *testing.T) { limitsWhileASlotMoves(t, nil) })
	t.Run("shared requests", func(t *testing.T) { limitsWhileASlotMoves(t, &redisbackend.Options{CoalesceLimits: true}) })
}

func limitsWhileASlotMoves(t *testing.T, o *redisbackend.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cluster := testbed.StartCluster(t, &testbed.ClusterOptions{NoReplicas: true})
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: cluster.Addrs(), ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	limits := openRedis(t, client, o).Limits()
	const keys, budget = 8, 1_000_000
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: budget, Per: 366 * 24 * time.Hour, Algorithm: ratelimit.FixedWindow})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(kind ratelimit.OpKind, n int64) []ratelimit.Outcome {
		ops, out := make([]ratelimit.Op, 2*keys), make([]ratelimit.Outcome, 2*keys)
		for i := range ops {
			ops[i] = ratelimit.Op{Kind: kind, Key: fmt.Sprint("{same}", i%keys), Policy: p, N: n}
		}
		limits.Apply(ctx, ops, out)
		return out
	}

	var counted, unknown [keys]atomic.Int64
	var stop atomic.Bool
	var batches atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				for i, o := range ask(ratelimit.OpTake, 1) {
					switch {
					case o.Err == nil:
						counted[i%keys].Add(1)
					case errors.Is(o.Err, ratelimit.ErrUnavailable):
						unknown[i%keys].Add(1)
					default:
						t.Error(o.Err)
						stop.Store(true)
					}
				}
				batches.Add(1)
			}
		})
	}
	runs := func() { // some batches in each place
		for before := batches.Load(); batches.Load() < before+50 && !stop.Load() && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
	}
	runs()
	slot := slotOf(ctx, t, client)
	for i := range 3 {
		at, err := cluster.Primary(slot)
		if err != nil {
			t.Fatal(err)
		}
		to := cluster.Nodes()[i%2]
		if to == at {
			to = cluster.Nodes()[2]
		}
		if err := cluster.MigrateSlot(ctx, slot, to, 1); err != nil {
			t.Fatal(err)
		}
		runs()
	}
	stop.Store(true)
	load.Wait()
	for i, o := range ask(ratelimit.OpPeek, 1)[:keys] {
		used := budget - o.Decision.Remaining
		if c, u := counted[i].Load(), unknown[i].Load(); o.Err != nil || used < c || used > c+u || c == 0 {
			t.Errorf("key %d: %d are counted (%v), %d calls were let through and %d not answered", i, used, o.Err, c, u)
		}
	}
}

// slotOf returns the slot of the only bucket in use.
func slotOf(ctx context.Context, t *testing.T, client *redis.ClusterClient) int {
	t.Helper()
	var name atomic.Value
	err := client.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		keys, err := c.Keys(ctx, "*:r:b:*").Result()
		if len(keys) > 0 {
			name.Store(keys[0])
		}
		return err
	})
	if err != nil || name.Load() == nil {
		t.Fatalf("no key: %v", err)
	}
	return testbed.Slot(name.Load().(string))
}
