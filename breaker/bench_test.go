package breaker_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

func newBreaker(tb testing.TB, o *breaker.Options) *breaker.Breaker {
	tb.Helper()
	b, err := breaker.New("b", o)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// silent are options without hooks.
func silent(o breaker.Options) *breaker.Options {
	o.Hooks = &breaker.Hooks{}
	return &o
}

// costs are the cases whose cost is bounded, with the allocations that they may make.
var costs = []struct {
	name   string
	o      breaker.Options
	open   bool
	allocs float64
}{
	{name: "closed"},
	{name: "closed, slow-call rate", o: breaker.Options{SlowAfter: time.Second}},
	{name: "closed, last calls", o: breaker.Options{Calls: 100}},
	{name: "rejected", o: breaker.Options{OpenFor: time.Hour}, open: true},
	{name: "gobreaker closed", o: breaker.Options{Engine: gobreakerengine.New(gobreaker.Settings{}, nil)}, allocs: 3},
}

// ready returns a breaker in the state of the case.
func ready(tb testing.TB, i int) *breaker.Breaker {
	tb.Helper()
	b := newBreaker(tb, silent(costs[i].o))
	if costs[i].open {
		trip(tb, b)
	}
	return b
}

// trip lets calls fail until the breaker opens.
func trip(tb testing.TB, b *breaker.Breaker) {
	tb.Helper()
	for range 1000 {
		if b.State() == breaker.Open {
			return
		}
		call(tb, b, breaker.Failure)
	}
	tb.Fatal("it does not open")
}

// call makes one call that must be let through.
func call(tb testing.TB, b *breaker.Breaker, o breaker.Outcome) {
	tb.Helper()
	p, err := b.Acquire(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	p.Report(o)
}

func nothing(context.Context) (int, error) { return 1, nil }

// BenchmarkDo measures a call of a func that does nothing. The clock is most of it: see BenchmarkClock.
func BenchmarkDo(b *testing.B) {
	for i, c := range costs {
		for _, goroutines := range []int{1, 8} {
			b.Run(c.name+"/goroutines="+strconv.Itoa(goroutines), func(b *testing.B) {
				br := ready(b, i)
				ctx := b.Context()
				b.ReportAllocs()
				if goroutines == 1 {
					for b.Loop() {
						_, _ = breaker.Do(ctx, br, nothing)
					}
					return
				}
				b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_, _ = breaker.Do(ctx, br, nothing)
					}
				})
			})
		}
	}
}

// BenchmarkClock measures one reading of the monotonic clock.
func BenchmarkClock(b *testing.B) {
	epoch := time.Now()
	for b.Loop() {
		_ = time.Since(epoch)
	}
}

func BenchmarkGroupGet(b *testing.B) {
	g, err := breaker.NewGroup[string]("g", nil)
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = "host-" + strconv.Itoa(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		g.Get(keys[i%len(keys)])
		i++
	}
}
