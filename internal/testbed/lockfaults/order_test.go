package lockfaults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

const contested = "contested"

// contest lets n waiters compete for one key, each of which queues again at once, until it was
// handed over the given number of times. Each has a backend of its own, as a process of its own
// would, on one client. under runs under the lock, one at a time. It returns the wins of each.
func contest(t *testing.T, n, handovers int, under func(ctx context.Context, i int, locks *lock.Locker) error) []int {
	server := testbed.StartRedis(t, nil)
	o := recommended.Redis(server.Addr())
	o.PoolSize = 2 * n
	client := redis.NewClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*eventually)
	defer cancel()

	lockers := make([]*lock.Locker, n)
	for i := range lockers {
		be, err := redisbackend.New(client, nil)
		if err != nil {
			t.Fatal(err)
		}
		locks, err := lock.New(be.Leases(), &lock.Options{Owner: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), eventually)
			defer cancel()
			if err := locks.Close(ctx); err != nil {
				t.Error(err)
			}
			if err := be.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		lockers[i] = locks
	}
	// Everybody queues behind this one, so that they start together.
	first, err := lockers[0].Acquire(ctx, contested)
	if err != nil {
		t.Fatal(err)
	}
	wins, done := make([]int, n), 0 // guarded by the lock itself
	var wg sync.WaitGroup
	for i, locks := range lockers {
		wg.Go(func() {
			for last := false; !last; {
				err := locks.Do(ctx, contested, func(ctx context.Context, _ *lock.Lease) error {
					if last = done >= handovers; last {
						return nil
					}
					done++
					wins[i]++
					return under(ctx, i, locks)
				})
				if err != nil {
					t.Errorf("waiter %d: %v", i, err)
					return
				}
			}
		})
	}
	wait(t, "everybody waits", func() bool {
		s, err := lockers[0].Inspect(ctx, contested)
		return err == nil && s.Waiting == n
	})
	start := time.Now()
	if err := first.Release(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
	took := time.Since(start)
	t.Logf("%d waiters, %d hand-overs in %v: %v each", n, done, round(took), (took / time.Duration(done)).Round(time.Microsecond))
	return wins
}

func TestWinsAreEven(t *testing.T) {
	for _, c := range []struct{ waiters, handovers int }{{16, 4000}, {64, 6400}} {
		t.Run(fmt.Sprint(c.waiters), func(t *testing.T) {
			wins := contest(t, c.waiters, c.handovers, func(context.Context, int, *lock.Locker) error { return nil })
			even := float64(c.handovers) / float64(c.waiters)
			least, most := float64(slices.Min(wins)), float64(slices.Max(wins))
			if least < 0.9*even || most > 1.1*even {
				t.Errorf("wins from %v to %v, want within 10 %% of %v: %v", least, most, even, wins)
			}
			t.Logf("wins from %v to %v, even would be %v: off by %.1f %% at most", least, most, even,
				100*max(even-least, most-even)/even)
		})
	}
}

func TestGrantsFollowTheQueue(t *testing.T) {
	for _, c := range []struct{ waiters, handovers int }{{16, 1600}, {64, 1600}} {
		t.Run(fmt.Sprint(c.waiters), func(t *testing.T) {
			// Nobody gives up, so whoever is first in the queue while another holds is next.
			next, followed := "", 0
			contest(t, c.waiters, c.handovers, func(ctx context.Context, i int, locks *lock.Locker) error {
				if me := fmt.Sprint(i); next != "" && next != me {
					t.Errorf("granted to %s, first in the queue was %s", me, next)
				} else if next != "" {
					followed++
				}
				s, err := locks.Inspect(ctx, contested)
				if err != nil {
					return err
				}
				next = ""
				if len(s.Waiters) > 0 {
					next = s.Waiters[0].Owner
				}
				return nil
			})
			if followed < c.handovers/2 {
				t.Errorf("only %d of %d hand-overs found a queue", followed, c.handovers)
			}
			t.Logf("%d hand-overs went to the first in the queue, none to another", followed)
		})
	}
}
