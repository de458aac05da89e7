package peerbench

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// The burst is one that no benchmark uses up, as refusals cost less, and what is taken of it stays
// taken for so long that no key is forgotten.
const (
	perHour = 1000
	burst   = 80_000_000
)

var errRefused = errors.New("a call was refused")

// BenchmarkRateLimit compares decisions in memory: on one key, on one of many, and from units that were
// taken ahead. Each key of x/time/rate is a limiter of its own, in a sync.Map if there are many.
func BenchmarkRateLimit(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		l := memoryLimiter(b)
		overhead(b, oneKey(l), handle(l), xTime())
	})
	b.Run("many", func(b *testing.B) {
		keys := manyKeys()
		overhead(b, eachKey(b, memoryLimiter(b), keys), xTimeMap(b, keys))
	})
	b.Run("allowance", func(b *testing.B) {
		l := limiter(b, remoteLimits{memoryLimits(b)}, &ratelimit.Options{Allowance: &ratelimit.Allowance{Block: 1 << 20, Life: time.Minute}})
		overhead(b, oneKey(l), handle(l), xTime())
	})
}

// remoteLimits is an engine in memory that a limiter takes for one that has to be asked.
type remoteLimits struct{ ratelimit.Backend }

func memoryLimits(b *testing.B) ratelimit.Backend {
	be, err := memorybackend.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := be.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return be.Limits()
}

func memoryLimiter(b *testing.B) *ratelimit.Limiter { return limiter(b, memoryLimits(b), nil) }

func limiter(b *testing.B, be ratelimit.Backend, o *ratelimit.Options) *ratelimit.Limiter {
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "calls", N: perHour, Per: time.Hour, Burst: burst})
	if err != nil {
		b.Fatal(err)
	}
	l, err := ratelimit.New(be, p, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return l
}

func oneKey(l *ratelimit.Limiter) wrapper {
	return wrapper{"concord", func(ctx context.Context, n int) error {
		for range n {
			if d, err := l.Allow(ctx, "client"); err != nil || !d.Allowed {
				return errors.Join(errRefused, err)
			}
		}
		return nil
	}}
}

func handle(l *ratelimit.Limiter) wrapper {
	h := l.For("client")
	return wrapper{"handle", func(_ context.Context, n int) error {
		for range n {
			if !h.Allow() {
				return errRefused
			}
		}
		return nil
	}}
}

func xTime() wrapper {
	l := rate.NewLimiter(perHour/3600.0, burst)
	return wrapper{"xtime", func(_ context.Context, n int) error {
		for range n {
			if !l.Allow() {
				return errRefused
			}
		}
		return nil
	}}
}

// manyKeys are 100 000 in no order.
func manyKeys() []string {
	keys := make([]string, 100_000)
	for i, n := range rand.New(rand.NewPCG(1, 2)).Perm(len(keys)) {
		keys[i] = "client-" + strconv.Itoa(n)
	}
	return keys
}

// inTurn calls f with each of n keys, after those that it was called with before.
func inTurn(keys []string, f func(ctx context.Context, key string) error) func(ctx context.Context, n int) error {
	var next atomic.Int64
	return func(ctx context.Context, n int) error {
		i := int(next.Add(int64(n))-int64(n)) % len(keys)
		for range n {
			if err := f(ctx, keys[i]); err != nil {
				return err
			}
			if i++; i == len(keys) {
				i = 0
			}
		}
		return nil
	}
}

// eachKey has seen all keys before it is measured.
func eachKey(b *testing.B, l *ratelimit.Limiter, keys []string) wrapper {
	calls := inTurn(keys, func(ctx context.Context, key string) error {
		if d, err := l.Allow(ctx, key); err != nil || !d.Allowed {
			return errors.Join(errRefused, err)
		}
		return nil
	})
	if err := calls(b.Context(), len(keys)); err != nil {
		b.Fatal(err)
	}
	return wrapper{"concord", calls}
}

func xTimeMap(b *testing.B, keys []string) wrapper {
	var limiters sync.Map
	calls := inTurn(keys, func(_ context.Context, key string) error {
		l, ok := limiters.Load(key)
		if !ok {
			l, _ = limiters.LoadOrStore(key, rate.NewLimiter(perHour/3600.0, burst))
		}
		if !l.(*rate.Limiter).Allow() {
			return errRefused
		}
		return nil
	})
	if err := calls(b.Context(), len(keys)); err != nil {
		b.Fatal(err)
	}
	return wrapper{"xtime-map", calls}
}
