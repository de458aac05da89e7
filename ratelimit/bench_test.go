package ratelimit_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

func benchLimiter(b *testing.B) *ratelimit.Limiter {
	b.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := ratelimit.New(be.Limits(), policy(b, ratelimit.Limit{Name: "l", N: 1000, Per: time.Hour, Burst: 8e7}), nil)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// The clock is the floor of every decision.
func BenchmarkClock(b *testing.B) {
	start := time.Now()
	for b.Loop() {
		_ = time.Since(start)
	}
}

func BenchmarkAllow(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{1, 100_000} {
		l := benchLimiter(b)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = "client-" + strconv.Itoa(i)
		}
		b.Run("keys="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i >= n {
					i = 0
				}
				if _, err := l.Allow(ctx, keys[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("parallel/keys="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := l.Allow(ctx, keys[i%n]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// A Handle knows the place of its key, and answers with a bool.
func BenchmarkHandle(b *testing.B) {
	h := benchLimiter(b).For("client")
	b.ReportAllocs()
	for b.Loop() {
		if !h.Allow() {
			b.Fatal("refused")
		}
	}
}

// BenchmarkTableMemory reports what a key of 16 bytes takes in memory, the key included.
func BenchmarkTableMemory(b *testing.B) {
	for a := ratelimit.TokenBucket; a <= ratelimit.StrictWindow; a++ {
		b.Run(a.String(), func(b *testing.B) {
			const n = 100_000
			p := policy(b, ratelimit.Limit{Name: "l", N: 1000, Per: time.Hour, Algorithm: a})
			var grown int64
			for b.Loop() {
				before := heap()
				table := ratelimit.NewTable(1 << 20)
				for i := range n {
					table.Decide(ratelimit.Op{Kind: ratelimit.OpTake, Key: fmt.Sprintf("user/%011d", i), Policy: p, N: 1})
				}
				grown = heap() - before
				runtime.KeepAlive(table)
			}
			b.ReportMetric(float64(grown)/n, "B/key")
			b.ReportMetric(0, "ns/op")
		})
	}
}
