package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// engine is where the locks are, and the data they protect.
type engine struct {
	name   string
	leases lease.Backend
	store  func(title string) store
	close  func()
}

// store keeps the counter.
type store interface {
	raise(context.Context, fence.Token) error
	read(context.Context) (int, error)
	write(context.Context, int) error
	writeFenced(context.Context, fence.Token, int) error
	note(context.Context) error
	totals(context.Context) (totals, error)
}

// totals are the counter, and how many additions were made to it.
type totals struct{ count, made int }

func open(ctx context.Context, name string) (*engine, error) {
	switch {
	case name == "memory":
		return openMemory()
	case strings.HasPrefix(name, "redis://"):
		return openRedis(ctx, name)
	default:
		return nil, fmt.Errorf("-backend must be memory or redis://host:port, not %q", name)
	}
}

func openMemory() (*engine, error) {
	be, err := memorybackend.New(nil)
	if err != nil {
		return nil, err
	}
	return &engine{
		name:   "memory",
		leases: be.Leases(),
		store:  func(title string) store { return &memoryStore{guard: be.Guard(), title: title} },
		close:  func() { be.Close(context.Background()) },
	}, nil
}

// memoryStore guards a variable of this process.
type memoryStore struct {
	guard       *memorybackend.Guard
	title       string
	count, made atomic.Int64
}

func (m *memoryStore) raise(ctx context.Context, t fence.Token) error {
	return m.guard.Raise(ctx, m.title, t)
}

func (m *memoryStore) read(context.Context) (int, error) { return int(m.count.Load()), nil }

func (m *memoryStore) write(_ context.Context, n int) error {
	m.count.Store(int64(n))
	return nil
}

func (m *memoryStore) writeFenced(ctx context.Context, t fence.Token, n int) error {
	return m.guard.Do(ctx, m.title, t, func() error { return m.write(ctx, n) })
}

func (m *memoryStore) note(context.Context) error {
	m.made.Add(1)
	return nil
}

func (m *memoryStore) totals(context.Context) (totals, error) {
	return totals{count: int(m.count.Load()), made: int(m.made.Load())}, nil
}

func openRedis(ctx context.Context, url string) (*engine, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("-backend: %w", err)
	}
	// What a lock wants of its client: deadlines that bound the network too, and quick failures.
	opt.ContextTimeoutEnabled = true
	opt.ReadTimeout, opt.DialTimeout = time.Second, time.Second
	opt.DialerRetries = 1
	client := redis.NewClient(opt)
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "quickstart"})
	if err != nil {
		client.Close()
		return nil, err
	}
	closeAll := func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		be.Close(closeCtx)
		client.Close()
	}
	checkCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := be.Check(checkCtx); err != nil {
		closeAll()
		return nil, err
	}
	return &engine{
		name:   "Redis at " + opt.Addr,
		leases: be.Leases(),
		store: func(title string) store {
			return &redisStore{client: client, guard: be.Guard(), key: "quickstart-data:" + title}
		},
		close: closeAll,
	}, nil
}

// redisStore guards a key of the server.
type redisStore struct {
	client *redis.Client
	guard  *redisbackend.Guard
	key    string
}

// keep is how long the data of the example stays on the server.
const keep = 10 * time.Minute

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
