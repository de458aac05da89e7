package redisbackend_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/ratelimit"
)

// The least that a decision can cost on this client is one EVALSHA. floatBucket is the usual script of a
// token bucket in floating point, which is what a limit costs that does not count exactly.
var (
	trivial     = redis.NewScript(`return 1`)
	floatBucket = redis.NewScript(`
local burst, rate, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local interval = period / rate
local now = redis.call("TIME")
now = (now[1] - 1483228800) + (now[2] / 1000000)
local tat = redis.call("GET", KEYS[1])
if not tat then tat = now else tat = tonumber(tat) end
tat = math.max(tat, now)
local next = tat + interval * cost
local left = (now - (next - interval * burst)) / interval
if left < 0 then return {0, 0, tostring((next - interval * burst) - now), tostring(tat - now)} end
redis.call("SET", KEYS[1], next, "EX", math.ceil(next - now))
return {cost, left, tostring(-1), tostring(next - now)}`)
)

// BenchmarkLimit compares decisions with those scripts. All take turns within one run, because the
// machine's speed changes between runs; the ratios are ours over theirs.
func BenchmarkLimit(b *testing.B) {
	client, prefix := testClient(b)
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = be.Close(context.Background()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	policy := func(limits ...ratelimit.Limit) *ratelimit.Policy {
		p, err := ratelimit.NewPolicy(limits...)
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	open := ratelimit.Limit{Name: "open", N: 1_000_000, Per: time.Second, Burst: 1 << 30}
	shut := ratelimit.Limit{Name: "shut", N: 1, Per: 300 * 24 * time.Hour}
	sharing, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix, CoalesceLimits: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sharing.Close(context.Background()) }()
	askOf := func(be *redisbackend.Backend, key string, p *ratelimit.Policy) func() {
		return func() {
			var out [1]ratelimit.Outcome
			be.Limits().Apply(ctx, []ratelimit.Op{{Kind: ratelimit.OpTake, Key: key, Policy: p, N: 1}}, out[:])
			if out[0].Err != nil {
				b.Fatal(out[0].Err)
			}
		}
	}
	ask := func(key string, p *ratelimit.Policy) func() { return askOf(be, key, p) }
	run := func(s *redis.Script, args ...any) func() {
		return func() {
			if err := s.Run(ctx, client, []string{prefix + ":bench"}, args...).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
	turns := []struct {
		name string
		one  func()
	}{
		{"trivial", run(trivial)},
		{"float", run(floatBucket, 1<<30, 1_000_000, 1, 1)},
		{"allowed", ask("allowed", policy(open))},
		{"sharing", askOf(sharing, "allowed", policy(open))},
		{"refused", ask("refused", policy(shut))},
		{"two", ask("two", policy(open, ratelimit.Limit{Name: "window", N: 1 << 40, Per: time.Hour, Algorithm: ratelimit.FixedWindow}))},
		{"strict", ask("strict", policy(ratelimit.Limit{Name: "window", N: 1 << 40, Per: time.Hour, Algorithm: ratelimit.StrictWindow}))},
	}
	const turn = 50
	spent := make([][]time.Duration, len(turns))
	for b.Loop() {
		for i, t := range turns {
			start := time.Now()
			for range turn {
				t.one()
			}
			spent[i] = append(spent[i], time.Since(start)/turn)
		}
	}
	quiet := make([]float64, len(turns)) // the quarter of the turns that was disturbed least
	for i := range turns {
		slices.Sort(spent[i])
		quiet[i] = float64(spent[i][len(spent[i])/4])
	}
	b.ReportMetric(0, "ns/op")
	for i, t := range turns {
		b.ReportMetric(quiet[i], t.name+"-ns")
		if i >= 2 {
			b.ReportMetric(quiet[i]/quiet[1], t.name+"/float")
		}
	}
}

// BenchmarkLimitConcurrent is how many decisions a process makes per second while many goroutines ask, each
// for a key of its own or all for one: by the usual script, and by ours with a request for each call and
// with shared ones, and with these by Limiter.Allow. They take turns; x-NAME is how many times NAME's rate
// shared requests have.
func BenchmarkLimitConcurrent(b *testing.B) {
	client, prefix := testClient(b)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "open", N: 1_000_000, Per: time.Second, Burst: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	port := func(share bool) ratelimit.Backend {
		be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix, CoalesceLimits: share})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = be.Close(context.Background()) })
		return be.Limits()
	}
	ours := func(limits ratelimit.Backend) func(key string) error {
		return func(key string) error {
			var out [1]ratelimit.Outcome
			limits.Apply(ctx, []ratelimit.Op{{Kind: ratelimit.OpTake, Key: key, Policy: p, N: 1}}, out[:])
			return out[0].Err
		}
	}
	front, err := ratelimit.New(port(true), p, &ratelimit.Options{Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = front.Close(context.Background()) })
	names := []string{"float", "own", "shared", "allow"}
	asks := []func(key string) error{
		func(key string) error {
			return floatBucket.Run(ctx, client, []string{prefix + ":" + key}, 1<<30, 1_000_000, 1, 1).Err()
		},
		ours(port(false)),
		ours(port(true)),
		func(key string) error { _, err := front.Allow(ctx, key); return err },
	}
	for _, keys := range []string{"distinct", "one"} {
		for _, goroutines := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprint(keys, "/", goroutines), func(b *testing.B) {
				each := max(16, 64/goroutines)
				spent := make([][]time.Duration, len(asks))
				for b.Loop() {
					for _, i := range rand.Perm(len(asks)) { // a turn alone runs faster or slower after certain others
						ask := asks[i]
						var all sync.WaitGroup
						start := time.Now()
						for g := range goroutines {
							key := "k"
							if keys == "distinct" {
								key = fmt.Sprint("k", g)
							}
							all.Go(func() {
								for range each {
									if err := ask(key); err != nil {
										b.Error(err)
									}
								}
							})
						}
						all.Wait()
						spent[i] = append(spent[i], time.Since(start))
					}
				}
				rates := make([]float64, len(asks))
				for i, s := range spent {
					slices.Sort(s)
					rates[i] = float64(goroutines*each) / s[len(s)/2].Seconds()
					b.ReportMetric(rates[i], names[i]+"/s")
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(rates[2]/rates[0], "x-float")
				b.ReportMetric(rates[2]/rates[1], "x-own")
			})
		}
	}
}

// BenchmarkLimitBatch is a decision within a batch.
func BenchmarkLimitBatch(b *testing.B) {
	client, prefix := testClient(b)
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = be.Close(context.Background()) }()
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: 1_000_000, Per: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ops, out := make([]ratelimit.Op, size), make([]ratelimit.Outcome, size)
			for i := range ops {
				ops[i] = ratelimit.Op{Kind: ratelimit.OpTake, Key: fmt.Sprint("k", i), Policy: p, N: 1}
			}
			b.ReportAllocs()
			for b.Loop() {
				be.Limits().Apply(context.Background(), ops, out)
				if out[size-1].Err != nil {
					b.Fatal(out[size-1].Err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/decision")
		})
	}
}

// BenchmarkLimitMemory reports what the state of a key takes on the server, with a key of 16 bytes.
func BenchmarkLimitMemory(b *testing.B) {
	client, prefix := testClient(b)
	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: prefix})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = be.Close(context.Background()) }()
	for a := ratelimit.TokenBucket; a <= ratelimit.StrictWindow; a++ {
		p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: 1000, Per: time.Hour, Algorithm: a})
		if err != nil {
			b.Fatal(err)
		}
		key := fmt.Sprintf("user/%011d", a)
		b.Run(a.String(), func(b *testing.B) {
			for b.Loop() {
				var out [1]ratelimit.Outcome
				be.Limits().Apply(context.Background(), []ratelimit.Op{{Kind: ratelimit.OpTake, Key: key, Policy: p, N: 1}}, out[:])
			}
			for it := client.Scan(context.Background(), 0, prefix+":*"+key, 1000).Iterator(); it.Next(context.Background()); {
				b.ReportMetric(float64(client.MemoryUsage(context.Background(), it.Val()).Val()), "B/key")
			}
		})
	}
}
