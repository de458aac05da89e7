package peerbench

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// server is where contenders meet: a server and a prefix of the benchmark's own.
type server struct {
	addrs  []string
	prefix string
	calls  func() int64 // how often it was asked; nil where nobody counts
}

// asked returns the number of requests so far, or 0 where nobody counts.
func (s server) asked() int64 {
	if s.calls == nil {
		return 0
	}
	return s.calls()
}

// redisServer is the Redis for tests, from which the keys of the benchmark are deleted at its end.
// Without one the benchmark is skipped.
func redisServer(b *testing.B) server {
	b.Helper()
	s := server{addrs: []string{fromEnv(b, "redis", "REDIS_ADDR")}, prefix: freshPrefix()}
	client := redis.NewClient(s.redisOptions())
	s.calls = func() int64 { return scriptCalls(b, client) }
	b.Cleanup(func() {
		ctx := context.Background()
		it := client.Scan(ctx, 0, s.prefix+":*", 1000).Iterator()
		for it.Next(ctx) {
			client.Unlink(ctx, it.Val())
		}
		if err := it.Err(); err != nil {
			b.Error(err)
		}
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// redisOptions are what package redisbackend recommends.
func (s server) redisOptions() *redis.Options {
	return &redis.Options{Addr: s.addrs[0], ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialerRetries: 1}
}

// etcdServer is the same on etcd.
func etcdServer(b *testing.B) server {
	b.Helper()
	s := server{addrs: strings.Split(fromEnv(b, "etcd", "ETCD_ENDPOINTS"), ","), prefix: freshPrefix()}
	b.Cleanup(func() {
		client, err := clientv3.New(s.etcdConfig())
		if err != nil {
			b.Error(err)
			return
		}
		if _, err := client.Delete(context.Background(), s.prefix+"/", clientv3.WithPrefix()); err != nil {
			b.Error(err)
		}
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (s server) etcdConfig() clientv3.Config {
	return clientv3.Config{Endpoints: s.addrs, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
}

// fromEnv returns the value of a variable that names a server. Without it the benchmark is
// skipped, or fails where the server is required.
func fromEnv(b *testing.B, server, name string) string {
	b.Helper()
	value := os.Getenv(name)
	if value == "" {
		why := "peerbench: " + name + " is not set"
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), server) {
			b.Fatal(why)
		}
		b.Skip(why)
	}
	return value
}

func freshPrefix() string { return "bench-" + strings.ToLower(rand.Text()[:12]) }
