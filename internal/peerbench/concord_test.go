package peerbench

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

var (
	concordOnRedis = kind{name: "concord", open: openConcordOnRedis}
	concordOnEtcd  = kind{name: "concord", open: openConcordOnEtcd}
)

// backend is what all backends have.
type backend interface {
	Leases() lease.Backend
	Close(ctx context.Context) error
}

type concord struct {
	locks  *lock.Locker
	be     backend
	client interface{ Close() error }
}

func openConcordOnRedis(s server) (contender, error) {
	client := redis.NewClient(s.redisOptions())
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: s.prefix})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return newConcord(be, client)
}

func openConcordOnEtcd(s server) (contender, error) {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		return nil, err
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: s.prefix})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return newConcord(be, client)
}

func newConcord(be backend, client interface{ Close() error }) (contender, error) {
	// The waiters whose context ends with a turn are not worth a line each.
	silent := new(lock.Hooks)
	locks, err := lock.New(be.Leases(), &lock.Options{TTL: ttl, Hooks: silent})
	if err != nil {
		return nil, errors.Join(err, be.Close(context.Background()), client.Close())
	}
	return &concord{locks, be, client}, nil
}

func (c *concord) with(ctx context.Context, key string, fn func()) error {
	l, err := c.locks.Acquire(ctx, key)
	if err != nil {
		return err
	}
	fn()
	return l.Release(ctx)
}

func (c *concord) close() error {
	ctx := context.Background()
	return errors.Join(c.locks.Close(ctx), c.be.Close(ctx), c.client.Close())
}
