package peerbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/ratelimit"
)

// askTurn is the length of a turn.
const askTurn = 100 * time.Millisecond

// decider makes decisions about keys that processes share.
type decider struct {
	name   string
	decide func(ctx context.Context, key string) error
}

// BenchmarkSharedLimit compares decisions about limits that processes share: on Redis with redis_rate, of
// one goroutine and of 64, about different keys and about one, with a context that can be cancelled, as most
// have, and with one that cannot, for which Concord needs no second goroutine. On etcd there is no peer whose decisions are
// one request.
func BenchmarkSharedLimit(b *testing.B) {
	for _, m := range []struct {
		keys, goroutines int
		cancellable      bool
	}{{1000, 1, false}, {1000, 1, true}, {1000, 64, true}, {1, 64, true}} {
		b.Run(fmt.Sprintf("redis/keys=%d/goroutines=%d/cancellable=%v", m.keys, m.goroutines, m.cancellable), func(b *testing.B) {
			ctx := context.Background()
			if m.cancellable {
				ctx = b.Context()
			}
			s := redisServer(b)
			ask(ctx, b, m.goroutines, sharedKeys(s, m.keys), redisRate(b, s),
				concordRate(b, s, "concord", false, nil),
				concordRate(b, s, "coalesced", true, nil),
				concordRate(b, s, "allowances", false, &ratelimit.Allowance{}))
		})
	}
	b.Run("etcd/keys=1/goroutines=64", func(b *testing.B) {
		s := etcdServer(b)
		ask(b.Context(), b, 64, sharedKeys(s, 1), concordEtcdRate(b, s))
	})
}

// sharedKeys are keys of this benchmark alone.
func sharedKeys(s server, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = s.prefix + ":client-" + strconv.Itoa(i)
	}
	return keys
}

// ask lets the deciders take turns, and compares the first with the others. Of the turns of each counts
// the one that a quarter was faster than.
func ask(ctx context.Context, b *testing.B, goroutines int, keys []string, deciders ...decider) {
	turns := make([][]float64, len(deciders))
	for _, d := range deciders {
		if err := d.decide(ctx, keys[0]); err != nil { // connects, and loads the scripts
			b.Fatal(fmt.Errorf("%s: %w", d.name, err))
		}
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm
	for b.Loop() {
		for _, i := range order(len(deciders)) { // who comes after whom makes a difference
			d := deciders[i]
			n, err := askFor(ctx, askTurn, goroutines, keys, d)
			if err != nil {
				b.Fatal(fmt.Errorf("%s: %w", d.name, err))
			}
			turns[i] = append(turns[i], n)
		}
	}
	b.ReportMetric(0, "ns/op")
	quiet := func(i int) float64 {
		slices.Sort(turns[i])
		return turns[i][len(turns[i])*3/4]
	}
	first := quiet(0)
	for i, d := range deciders {
		rate := quiet(i)
		b.ReportMetric(rate, d.name+"-decisions/s")
		b.ReportMetric(float64(goroutines)/rate*1e9, d.name+"-ns/decision")
		if i > 0 {
			b.ReportMetric(rate/first, d.name+"-x-"+deciders[0].name)
		}
	}
}

// askFor returns the decisions per second in a time.
func askFor(ctx context.Context, turn time.Duration, goroutines int, keys []string, d decider) (float64, error) {
	var all sync.WaitGroup
	made, errs := make([]int, goroutines), make([]error, goroutines)
	start := time.Now()
	for g := range goroutines {
		all.Go(func() {
			n := 0
			for time.Since(start) < turn && errs[g] == nil {
				errs[g] = d.decide(ctx, keys[(g*17+n)%len(keys)])
				n++
			}
			made[g] = n
		})
	}
	all.Wait()
	sum := 0
	for _, n := range made {
		sum += n
	}
	return float64(sum) / time.Since(start).Seconds(), errors.Join(errs...)
}

func redisRate(b *testing.B, s server) decider {
	client := redis.NewClient(s.redisOptions())
	b.Cleanup(func() {
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	l, limit := redis_rate.NewLimiter(client), redis_rate.Limit{Rate: perHour, Period: time.Hour, Burst: burst}
	b.Cleanup(func() { // its keys begin with a word of its own
		ctx := context.Background()
		it := client.Scan(ctx, 0, "rate:"+s.prefix+":*", 1000).Iterator()
		for it.Next(ctx) {
			client.Unlink(ctx, it.Val())
		}
		if err := it.Err(); err != nil {
			b.Error(err)
		}
	})
	return decider{"redis_rate", func(ctx context.Context, key string) error {
		r, err := l.Allow(ctx, key, limit)
		if err == nil && r.Allowed == 0 {
			err = errRefused
		}
		return err
	}}
}

func concordRate(b *testing.B, s server, name string, coalesce bool, a *ratelimit.Allowance) decider {
	client := redis.NewClient(s.redisOptions())
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: s.prefix, CoalesceLimits: coalesce})
	if err != nil {
		b.Fatal(err)
	}
	closes(b, be, client)
	return decides(name, sharedLimiter(b, be.Limits(), a))
}

func concordEtcdRate(b *testing.B, s server) decider {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		b.Fatal(err)
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: s.prefix})
	if err != nil {
		b.Fatal(err)
	}
	closes(b, be, client)
	return decides("allowances", sharedLimiter(b, be.Limits(), nil))
}

// closes closes a backend and its client at the end of the benchmark.
func closes(b *testing.B, be backend, client interface{ Close() error }) {
	b.Cleanup(func() {
		if err := errors.Join(be.Close(context.Background()), client.Close()); err != nil {
			b.Error(err)
		}
	})
}

func sharedLimiter(b *testing.B, be ratelimit.Backend, a *ratelimit.Allowance) *ratelimit.Limiter {
	return limiter(b, be, &ratelimit.Options{Timeout: 10 * time.Second, Allowance: a})
}

func decides(name string, l *ratelimit.Limiter) decider {
	return decider{name, func(ctx context.Context, key string) error {
		d, err := l.Allow(ctx, key)
		if err == nil && !d.Allowed {
			err = errRefused
		}
		return err
	}}
}
