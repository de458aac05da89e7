package main

import (
	"context"
	"errors"
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

const backends = "memory, redis://host:port, redis+sentinel://host:port,…/master, redis+cluster://host:port,… or etcd://host:port,…"

// engine is what an election of processes runs on.
type engine struct {
	leases lease.Backend
	check  func(context.Context) error
	close  func(context.Context) error // the backend, and its client after it
}

func openEngine(name string) (*engine, error) {
	scheme, _, _ := strings.Cut(name, "://")
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("-backend must be %s, not %q", backends, name)
	}
	switch scheme {
	case "etcd":
		return openEtcd(u)
	case "redis", "redis+sentinel", "redis+cluster":
		client, err := redisClient(scheme, u)
		if err != nil {
			return nil, fmt.Errorf("-backend: %w", err)
		}
		be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "cron"})
		if err != nil {
			client.Close()
			return nil, err
		}
		return &engine{be.Leases(), be.Check, inTurn(be.Close, client.Close)}, nil
	}
	return nil, fmt.Errorf("-backend must be %s, not %q", backends, name)
}

// redisClient makes a client as an election wants it: with deadlines that bound the network too, and
// quick failures.
func redisClient(scheme string, u *url.URL) (redis.UniversalClient, error) {
	hosts := strings.Split(u.Host, ",")
	query := u.Query()
	for _, h := range hosts[1:] { // the client library reads redis://a?addr=b&addr=c
		query.Add("addr", h)
	}
	plain := url.URL{Scheme: "redis", User: u.User, Host: hosts[0], Path: u.Path, RawQuery: query.Encode()}
	switch scheme {
	case "redis+sentinel":
		master := strings.Trim(u.Path, "/")
		if master == "" {
			return nil, fmt.Errorf("the name of the master is missing, as in redis+sentinel://%s/mymaster", u.Host)
		}
		query.Set("master_name", master)
		plain.Path, plain.RawQuery = "", query.Encode()
		opt, err := redis.ParseFailoverURL(plain.String())
		if err != nil {
			return nil, err
		}
		opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = true, time.Second, time.Second, 1
		return redis.NewFailoverClient(opt), nil
	case "redis+cluster":
		opt, err := redis.ParseClusterURL(plain.String())
		if err != nil {
			return nil, err
		}
		opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = true, time.Second, time.Second, 1
		return redis.NewClusterClient(opt), nil
	}
	opt, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, err
	}
	opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = true, time.Second, time.Second, 1
	return redis.NewClient(opt), nil
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
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "cron"})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &engine{be.Leases(), be.Check, inTurn(be.Close, client.Close)}, nil
}

func inTurn(backend func(context.Context) error, client func() error) func(context.Context) error {
	return func(ctx context.Context) error { return errors.Join(backend(ctx), client()) }
}

// soon does what is to be done at the end, when ctx may be over, and says what went wrong.
func soon(ctx context.Context, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := end(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cron:", err)
	}
}
