package redisbackend_test

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// testClient returns a client of the server for tests, and a prefix of the test's own, whose keys
// are deleted at its end.
func testClient(tb testing.TB) (client *redis.Client, prefix string) {
	tb.Helper()
	addr := os.Getenv("REDIS_ADDR")
	if addr == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "redis") {
			tb.Fatal("redisbackend: REDIS_ADDR is not set")
		}
		tb.Skip("redisbackend: REDIS_ADDR is not set")
	}
	client = redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, PoolSize: 200})
	prefix = "lock-" + rand.Text()[:10]
	tb.Cleanup(func() {
		ctx := context.Background()
		for it := client.Scan(ctx, 0, prefix+":*", 1000).Iterator(); it.Next(ctx); {
			client.Del(ctx, it.Val())
		}
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return client, prefix
}

// testLocker returns a Locker that stands for a process of its own.
func testLocker(tb testing.TB, client *redis.Client, prefix string, o *lock.Options) *lock.Locker {
	tb.Helper()
	locks, err := lock.New(testLeases(tb, client, prefix), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeSoon(tb, locks.Close) })
	return locks
}

// closeSoon closes something, which must not take long.
func closeSoon(tb testing.TB, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := end(ctx); err != nil {
		tb.Error(err)
	}
}

// testLeases returns the port of a backend that ends with the test.
func testLeases(tb testing.TB, client *redis.Client, prefix string) lease.Backend {
	tb.Helper()
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeSoon(tb, be.Close) })
	return be.Leases()
}

func waitFor(tb testing.TB, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("waited for too long")
		}
	}
}
