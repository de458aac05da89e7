package peerbench

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The bare pairs are the least that a lock can do on the clients that Concord is given: one
// request that takes a key and one that gives it back. They cannot wait.
var (
	bareOnRedis = kind{name: "bare", open: openBareRedis}
	bareOnEtcd  = kind{name: "bare", open: openBareEtcd}

	errTaken = errors.New("the bare key is taken")
)

var (
	bareTake = redis.NewScript(`if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0`)
	bareGive = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)
)

type bareRedis struct {
	client *redis.Client
	prefix string
}

func openBareRedis(s server) (contender, error) {
	return bareRedis{redis.NewClient(s.redisOptions()), s.prefix}, nil
}

func (c bareRedis) with(ctx context.Context, key string, fn func()) error {
	keys := []string{c.prefix + ":bare:" + key}
	took, err := bareTake.Run(ctx, c.client, keys, "me", ttl.Milliseconds()).Bool()
	if err != nil {
		return err
	}
	if !took {
		return errTaken
	}
	fn()
	return bareGive.Run(ctx, c.client, keys, "me").Err()
}

func (c bareRedis) close() error { return c.client.Close() }

type bareEtcd struct {
	client *clientv3.Client
	lease  clientv3.LeaseID
	prefix string
}

func openBareEtcd(s server) (contender, error) {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		return nil, err
	}
	granted, err := client.Grant(context.Background(), int64(time.Hour/time.Second))
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return bareEtcd{client, granted.ID, s.prefix}, nil
}

func (c bareEtcd) with(ctx context.Context, key string, fn func()) error {
	key = c.prefix + "/bare/" + key
	absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	took, err := c.client.Txn(ctx).If(absent).Then(clientv3.OpPut(key, "", clientv3.WithLease(c.lease))).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return err
	}
	if !took.Succeeded {
		return errTaken
	}
	fn()
	_, err = c.client.Txn(ctx).Then(clientv3.OpDelete(key)).Commit()
	return err
}

func (c bareEtcd) close() error {
	_, err := c.client.Revoke(context.Background(), c.lease)
	return errors.Join(err, c.client.Close())
}
