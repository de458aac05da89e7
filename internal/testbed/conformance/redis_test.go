package conformance

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

func TestSentinel(t *testing.T) {
	addrs, master := testbed.SentinelAddrs(t)
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: master, SentinelAddrs: addrs,
		ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	t.Run("Leases", func(t *testing.T) { redisLeases(t, client, nil) })
	t.Run("Leases with confirmation", func(t *testing.T) { redisLeases(t, client, &redisbackend.Options{WaitReplicas: 1}) })
	t.Run("Fences", func(t *testing.T) { redisFences(t, client) })
	t.Run("Limits", func(t *testing.T) { redisLimits(t, client) })
}

func TestCluster(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 testbed.ClusterAddrs(t),
		ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	t.Run("Leases", func(t *testing.T) { redisLeases(t, client, nil) })
	t.Run("Leases with confirmation", func(t *testing.T) { redisLeases(t, client, &redisbackend.Options{WaitReplicas: 1}) })
	t.Run("Fences", func(t *testing.T) { redisFences(t, client) })
	t.Run("Limits", func(t *testing.T) { redisLimits(t, client) })
}

func redisLeases(t *testing.T, client redis.UniversalClient, o *redisbackend.Options) {
	backendtest.Leases(t, func(t *testing.T) lease.Backend {
		return &subscribed{Backend: openRedis(t, client, o).Leases(), t: t, open: map[string]bool{}}
	})
}

func redisFences(t *testing.T, client redis.UniversalClient) {
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return openRedis(t, client, nil).Fences() })
}

func redisLimits(t *testing.T, client redis.UniversalClient) {
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return openRedis(t, client, nil).Limits() })
}

// openRedis opens a backend on a prefix of its own, which is deleted with the test.
func openRedis(t *testing.T, client redis.UniversalClient, o *redisbackend.Options) *redisbackend.Backend {
	var opt redisbackend.Options
	if o != nil {
		opt = *o
	}
	opt.Prefix = "test-" + strings.ToLower(rand.Text()[:12])
	be, err := redisbackend.New(client, &opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := be.Close(ctx); err != nil {
			t.Error(err)
		}
		remove := func(ctx context.Context, c *redis.Client) error {
			it := c.Scan(ctx, 0, opt.Prefix+":*", 1000).Iterator()
			for it.Next(ctx) {
				if err := c.Unlink(ctx, it.Val()).Err(); err != nil {
					return err
				}
			}
			return it.Err()
		}
		switch c := client.(type) {
		case *redis.Client:
			err = remove(ctx, c)
		case *redis.ClusterClient:
			err = c.ForEachMaster(ctx, remove)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return be
}

// subscribed opens the subscription for a key before it is watched. A backend on Redis opens it
// when a claim has to wait, so a holder gets no event before; some cases expect one right after
// the first claim has waited.
type subscribed struct {
	lease.Backend
	t *testing.T

	mu   sync.Mutex // held while a subscription is opened
	open map[string]bool
}

func (s *subscribed) Watch(key string, a lease.Attempt, notify func(lease.Event)) (stop func()) {
	s.mu.Lock()
	if !s.open[key] {
		s.open[key] = true
		s.subscribe(key)
	}
	s.mu.Unlock()
	return s.Backend.Watch(key, a, notify)
}

// subscribe lets a claim wait in the same slot until it hears that events get through.
func (s *subscribed) subscribe(key string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	near := "{" + key + "}/near"
	if strings.ContainsAny(key, "{}") {
		near = key + "/near"
	}
	var claims []lease.Claim
	for range 2 {
		c := lease.Claim{Key: near, Attempt: lease.NewAttempt(), TTL: time.Minute, Queue: true, Weight: 1, Limit: 1}
		if _, err := s.Acquire(ctx, c); err != nil {
			s.t.Fatal(err)
		}
		claims = append(claims, c)
	}
	waiter := lease.Renewal{Key: near, Attempt: claims[1].Attempt, TTL: time.Minute, Waiting: true}
	for pushed := false; !pushed; time.Sleep(time.Millisecond) {
		a := s.Renew(ctx, []lease.Renewal{waiter})[0]
		if a.Err != nil {
			s.t.Fatal(a.Err)
		}
		pushed = a.Pushed
	}
	for _, c := range slices.Backward(claims) {
		if _, err := s.Release(ctx, lease.Release{Key: near, Attempt: c.Attempt}); err != nil {
			s.t.Fatal(err)
		}
	}
}
