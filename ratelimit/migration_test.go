package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// What docs/migration.md shows as the new code.

var errTooMany = errors.New("too many")

func afterXtime(ctx context.Context, limit *ratelimit.Handle) error {
	if err := limit.Wait(ctx); err != nil {
		return err
	}
	if !limit.Allow() {
		return errTooMany
	}
	return nil
}

func afterRedisRate(ctx context.Context, limits *ratelimit.Limiter) (wait time.Duration, err error) {
	d, err := limits.Allow(ctx, "client-7")
	if err == nil && !d.Allowed {
		return d.RetryAfter, errTooMany
	}
	return 0, err
}

func TestMigratedCode(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, limits *ratelimit.Limiter) {
		for i, want := range []error{nil, errTooMany} {
			limit := limits.For("upstream-7")
			if i == 0 {
				limit = ratelimit.FromRate(xtime{limits.For("upstream-8")}) // stands for a *rate.Limiter
			} else if !limit.AllowN(time.Now(), 4) {
				t.Error("refused")
			}
			if err := afterXtime(t.Context(), limit); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		for range 5 {
			if _, err := afterRedisRate(t.Context(), limits); err != nil {
				t.Error(err)
			}
		}
		if wait, err := afterRedisRate(t.Context(), limits); wait != 100*time.Millisecond || !errors.Is(err, errTooMany) {
			t.Errorf("%v, %v", wait, err)
		}
	}, perSecond)
}
