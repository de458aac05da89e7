package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/fence"
)

func openEtcd(ctx context.Context, u *url.URL) (*engine, error) {
	password, _ := u.User.Password()
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            strings.Split(u.Host, ","),
		Username:             u.User.Username(),
		Password:             password,
		DialTimeout:          2 * time.Second,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		Logger:               zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "quickstart"})
	if err != nil {
		client.Close()
		return nil, err
	}
	closeAll := closer(ctx, be.Close, client.Close)
	if err := checked(ctx, be.Check, closeAll); err != nil {
		return nil, err
	}
	data, err := client.Grant(ctx, int64(keep.Seconds()))
	if err != nil {
		closeAll()
		return nil, err
	}
	return &engine{
		name:   "etcd at " + u.Host,
		leases: be.Leases(),
		store: func(title string) store {
			return &etcdStore{client: client, guard: be.Guard(), key: "quickstart-data/" + title, lease: clientv3.WithLease(data.ID)}
		},
		close: closeAll,
	}, nil
}

// etcdStore guards a key of the cluster. What was made is counted by the version of another key,
// which etcd raises with every write.
type etcdStore struct {
	client *clientv3.Client
	guard  *etcdbackend.Guard
	key    string
	lease  clientv3.OpOption // on which the data is, so that it does not stay for ever
}

func (e *etcdStore) made() string { return e.key + "/made" }

func (e *etcdStore) raise(ctx context.Context, t fence.Token) error {
	return e.guard.Raise(ctx, e.key, t)
}

func (e *etcdStore) read(ctx context.Context) (int, error) {
	t, err := e.totals(ctx)
	return t.count, err
}

func (e *etcdStore) write(ctx context.Context, n int) error {
	_, err := e.client.Put(ctx, e.key, strconv.Itoa(n), e.lease)
	return err
}

func (e *etcdStore) writeFenced(ctx context.Context, t fence.Token, n int) error {
	_, err := e.guard.Txn(ctx, e.key, t, clientv3.OpPut(e.key, strconv.Itoa(n), e.lease))
	return err
}

func (e *etcdStore) note(ctx context.Context) error {
	_, err := e.client.Put(ctx, e.made(), "", e.lease)
	return err
}

func (e *etcdStore) totals(ctx context.Context) (totals, error) {
	r, err := e.client.Txn(ctx).Then(clientv3.OpGet(e.key), clientv3.OpGet(e.made())).Commit()
	if err != nil {
		return totals{}, err
	}
	var t totals
	if found := r.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
		if t.count, err = strconv.Atoi(string(found[0].Value)); err != nil {
			return totals{}, err
		}
	}
	if found := r.Responses[1].GetResponseRange().Kvs; len(found) > 0 {
		t.made = int(found[0].Version)
	}
	return t, nil
}
