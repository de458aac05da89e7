package peerbench

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// etcdMutex is the mutex of the etcd client.
var etcdMutex = kind{name: "mutex", open: openMutex}

type mutexLocker struct {
	session *concurrency.Session
	prefix  string
	client  *clientv3.Client
}

func openMutex(s server) (contender, error) {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(int(ttl/time.Second)))
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return mutexLocker{session, s.prefix, client}, nil
}

func (c mutexLocker) with(ctx context.Context, key string, fn func()) error {
	m := concurrency.NewMutex(c.session, c.prefix+"/mutex/"+key)
	if err := m.Lock(ctx); err != nil {
		return err
	}
	fn()
	return m.Unlock(context.WithoutCancel(ctx))
}

func (c mutexLocker) close() error { return errors.Join(c.session.Close(), c.client.Close()) }
