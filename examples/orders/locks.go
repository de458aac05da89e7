package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/lease"
)

func hasScheme(s, scheme string) bool { return strings.HasPrefix(s, scheme+"://") }

// openLocks opens the engine of the locks of a worker process.
func openLocks(ctx context.Context, name string) (leases lease.Backend, end func(), err error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, nil, fmt.Errorf("-locks: %w", err)
	}
	switch u.Scheme {
	case "redis":
		opt, err := redis.ParseURL(name)
		if err != nil {
			return nil, nil, fmt.Errorf("-locks: %w", err)
		}
		opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = true, time.Second, time.Second, 1
		client := redis.NewClient(opt)
		be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "orders"})
		if err != nil {
			client.Close()
			return nil, nil, err
		}
		return be.Leases(), func() { soon(ctx, be.Close); client.Close() }, nil
	case "etcd":
		client, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(u.Host, ","), DialTimeout: 2 * time.Second, Logger: zap.NewNop(),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("-locks: %w", err)
		}
		be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "orders"})
		if err != nil {
			client.Close()
			return nil, nil, err
		}
		return be.Leases(), func() { soon(ctx, be.Close); client.Close() }, nil
	}
	return nil, nil, fmt.Errorf("-locks must be memory, redis://host:port or etcd://host:port,…, not %q", name)
}

// soon does what is to be done at the end, when ctx may be over, and says what went wrong.
func soon(ctx context.Context, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := end(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
	}
}
