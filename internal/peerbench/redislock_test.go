package peerbench

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

// redisLock polls. It does not wait unless it is told how, so the delay is that of its own example.
var redisLock = kind{name: "redislock", open: openRedislock}

const redislockDelay = 100 * time.Millisecond

type redislockLocker struct {
	locks  *redislock.Client
	prefix string
	client *redis.Client
}

func openRedislock(s server) (contender, error) {
	client := redis.NewClient(s.redisOptions())
	return redislockLocker{redislock.New(client), s.prefix, client}, nil
}

func (c redislockLocker) with(ctx context.Context, key string, fn func()) error {
	retry := redislock.Options{RetryStrategy: redislock.LinearBackoff(redislockDelay)}
	l, err := c.locks.Obtain(ctx, c.prefix+":redislock:"+key, ttl, &retry)
	if err != nil {
		return err
	}
	fn()
	return l.Release(context.WithoutCancel(ctx))
}

func (c redislockLocker) close() error { return c.client.Close() }
