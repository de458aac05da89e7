package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

const backends = "memory, redis://host:port or etcd://host:port,…"

// longest is what a step that should be short may take.
const longest = 5 * time.Second

// engine is what the group and the limits are on.
type engine struct {
	leases lease.Backend
	limits ratelimit.Backend
	check  func(context.Context) error
	close  func(context.Context) error // the backend, and its client after it
	server bool                        // which other processes reach, too
}

// ttl is the TTL of an upstream in its group.
func (e *engine) ttl() time.Duration { return max(2*time.Second, e.leases.Capabilities().MinTTL) }

func openEngine(name string) (*engine, error) {
	if name == "memory" {
		be, err := memorybackend.New(nil)
		if err != nil {
			return nil, err
		}
		return &engine{be.Leases(), be.Limits(), func(context.Context) error { return nil }, be.Close, false}, nil
	}
	u, err := url.Parse(name)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case "redis":
			return openRedis(u)
		case "etcd":
			return openEtcd(u)
		}
	}
	return nil, fmt.Errorf("-backend must be %s, not %q", backends, name)
}

// openRedis makes a client as a group wants it: with deadlines that bound the network too, and quick
// failures.
func openRedis(u *url.URL) (*engine, error) {
	password, _ := u.User.Password()
	client := redis.NewClient(&redis.Options{
		Addr: u.Host, Username: u.User.Username(), Password: password,
		ContextTimeoutEnabled: true, ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "gateway"})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &engine{be.Leases(), be.Limits(), be.Check, inTurn(be.Close, client.Close), true}, nil
}

func openEtcd(u *url.URL) (*engine, error) {
	password, _ := u.User.Password()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: strings.Split(u.Host, ","), Username: u.User.Username(), Password: password,
		DialTimeout: 2 * time.Second, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 2 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "gateway"})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &engine{be.Leases(), be.Limits(), be.Check, inTurn(be.Close, client.Close), true}, nil
}

func inTurn(backend func(context.Context) error, client func() error) func(context.Context) error {
	return func(ctx context.Context) error { return errors.Join(backend(ctx), client()) }
}

// soon does what is to be done at the end, when ctx may be over, and says what went wrong.
func soon(ctx context.Context, says teller, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	if err := end(ctx); err != nil {
		says("%v", err)
	}
}
