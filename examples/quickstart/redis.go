package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
)

// What a lock wants of its client: deadlines that bound the network too, and quick failures.
const (
	inTime  = true // ContextTimeoutEnabled
	timeout = time.Second
	dials   = 1
)

func openRedis(ctx context.Context, u *url.URL) (*engine, error) {
	opt, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = inTime, timeout, timeout, dials
	return useRedis(ctx, "Redis at "+opt.Addr, redis.NewClient(opt))
}

func openSentinel(ctx context.Context, u *url.URL) (*engine, error) {
	opt, err := redis.ParseFailoverURL(plain(u, "master_name", strings.Trim(u.Path, "/")))
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	if opt.MasterName == "" {
		return nil, fmt.Errorf("-backend: the name of the master is missing, as in redis+sentinel://%s/mymaster", u.Host)
	}
	opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = inTime, timeout, timeout, dials
	return useRedis(ctx, "Redis "+opt.MasterName+", found by Sentinel", redis.NewFailoverClient(opt))
}

func openCluster(ctx context.Context, u *url.URL) (*engine, error) {
	opt, err := redis.ParseClusterURL(plain(u))
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	opt.ContextTimeoutEnabled, opt.ReadTimeout, opt.DialTimeout, opt.DialerRetries = inTime, timeout, timeout, dials
	return useRedis(ctx, "Redis Cluster", redis.NewClusterClient(opt))
}

// plain turns redis+…://a,b,c into the form that the client library reads, redis://a?addr=b&addr=c,
// with more parameters as pairs of name and value.
func plain(u *url.URL, more ...string) string {
	hosts := strings.Split(u.Host, ",")
	query := u.Query()
	for _, h := range hosts[1:] {
		query.Add("addr", h)
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return (&url.URL{Scheme: "redis", User: u.User, Host: hosts[0], RawQuery: query.Encode()}).String()
}

func useRedis(ctx context.Context, name string, client redis.UniversalClient) (*engine, error) {
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "quickstart"})
	if err != nil {
		client.Close()
		return nil, err
	}
	closeAll := closer(ctx, be.Close, client.Close)
	if err := checked(ctx, be.Check, closeAll); err != nil {
		return nil, err
	}
	return &engine{
		name:   name,
		leases: be.Leases(),
		store: func(title string) store {
			return &redisStore{client: client, guard: be.Guard(), key: "quickstart-data:{" + title + "}"}
		},
		close: closeAll,
	}, nil
}

// redisStore guards a key of the server.
type redisStore struct {
	client redis.UniversalClient
	guard  *redisbackend.Guard
	key    string
}

func (r *redisStore) raise(ctx context.Context, t fence.Token) error {
	return r.guard.Raise(ctx, r.key, t)
}

func (r *redisStore) read(ctx context.Context) (int, error) { return r.number(ctx, r.key) }

func (r *redisStore) write(ctx context.Context, n int) error {
	return r.client.Set(ctx, r.key, strconv.Itoa(n), keep).Err()
}

func (r *redisStore) writeFenced(ctx context.Context, t fence.Token, n int) error {
	return r.guard.Set(ctx, r.key, t, strconv.Itoa(n), keep)
}

func (r *redisStore) note(ctx context.Context) error {
	pipe := r.client.TxPipeline()
	pipe.Incr(ctx, r.key+":made")
	pipe.Expire(ctx, r.key+":made", keep)
	_, err := pipe.Exec(ctx)
	return err
}

func (r *redisStore) totals(ctx context.Context) (t totals, err error) {
	count, err1 := r.number(ctx, r.key)
	made, err2 := r.number(ctx, r.key+":made")
	return totals{count: count, made: made}, errors.Join(err1, err2)
}

func (r *redisStore) number(ctx context.Context, key string) (int, error) {
	n, err := r.client.Get(ctx, key).Int()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}
