package redisbackend

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// address is the server for tests. Without one the test is skipped.
func address(tb testing.TB) string {
	tb.Helper()
	addr := os.Getenv("REDIS_ADDR")
	if addr == "" {
		missing(tb, "redisbackend: REDIS_ADDR is not set")
	}
	return addr
}

// missing skips the test, or fails it where the server is required.
func missing(tb testing.TB, why string) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "redis") {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// clientOptions are what the package doc recommends.
func clientOptions(addr string) *redis.Options {
	return &redis.Options{Addr: addr, ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialerRetries: 1}
}

// connect returns a client of the server at addr.
func connect(tb testing.TB, addr string) *redis.Client {
	tb.Helper()
	client := redis.NewClient(clientOptions(addr))
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return client
}

// freshPrefix returns a prefix of the test's own, whose keys are deleted at its end.
func freshPrefix(tb testing.TB, client *redis.Client) string {
	prefix := "test-" + strings.ToLower(rand.Text()[:12])
	tb.Cleanup(func() {
		ctx := context.Background()
		it := client.Scan(ctx, 0, prefix+":*", 1000).Iterator()
		var keys []string
		for it.Next(ctx) {
			keys = append(keys, it.Val())
		}
		for chunk := range slices.Chunk(keys, 1000) {
			client.Unlink(ctx, chunk...)
		}
		if err := it.Err(); err != nil && tb.Context().Err() == nil {
			tb.Error(err)
		}
	})
	return prefix
}

// open returns a backend on a prefix of its own. A nil client means a new one.
func open(tb testing.TB, client *redis.Client, o *Options) *Backend {
	tb.Helper()
	if client == nil {
		client = connect(tb, address(tb))
	}
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.Prefix == "" {
		opt.Prefix = freshPrefix(tb, client)
	}
	be, err := New(client, &opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := be.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return be
}

// claim is an ordinary wish to hold key.
func claim(key string) lease.Claim {
	return lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: 10 * time.Second, Queue: true, Weight: 1, Limit: 1}
}

// within returns a ctx with a deadline.
func within(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

// lease returns the names for a key.
func (n *names) lease(key string) (l, q, s string, counter any) {
	k := n.keys(key, "")
	return k.lease, k.queue, k.seats, k.counter
}

// claim returns the names for a key and an attempt on it.
func (n *names) claim(key, attempt string) (l, q, s, tombstone string, counter any) {
	k := n.keys(key, attempt)
	return k.lease, k.queue, k.seats, k.tombstone, k.counter
}
