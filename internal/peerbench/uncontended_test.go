package peerbench

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

// pairsPerTurn is the length of a turn.
const pairsPerTurn = 50

// BenchmarkUncontended compares acquire and release of a lock that nobody else wants, with a context
// that can be cancelled, as most have, and with one that cannot, for which Concord needs no second goroutine.
func BenchmarkUncontended(b *testing.B) {
	for _, mode := range []struct {
		name string
		ctx  func(b *testing.B) context.Context
	}{
		{"cancellable", func(b *testing.B) context.Context { return b.Context() }},
		{"background", func(*testing.B) context.Context { return context.Background() }},
	} {
		b.Run("redis/"+mode.name, func(b *testing.B) {
			uncontended(mode.ctx(b), b, redisServer(b), concordOnRedis, bareOnRedis, rueidisLock, redisLock)
		})
		b.Run("etcd/"+mode.name, func(b *testing.B) {
			uncontended(mode.ctx(b), b, etcdServer(b), concordOnEtcd, bareOnEtcd, etcdMutex)
		})
	}
}

// uncontended lets the kinds take turns, and compares the first with the others. Of the turns of
// each counts the one that a quarter was faster than, since what disturbs only slows down.
func uncontended(ctx context.Context, b *testing.B, s server, kinds ...kind) {
	open := make([]contender, len(kinds))
	turns := make([][]time.Duration, len(kinds))
	allocs := make([]uint64, len(kinds))
	for i, k := range kinds {
		open[i] = enlist(b, s, k)
		pairs(ctx, b, k, open[i]) // connects, and loads the scripts
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, k := range kinds {
			took, n := pairs(ctx, b, k, open[i])
			turns[i] = append(turns[i], took)
			allocs[i] += n
		}
	}
	b.ReportMetric(0, "ns/op")
	quiet := func(i int) float64 {
		slices.Sort(turns[i])
		return float64(turns[i][len(turns[i])/4]) / pairsPerTurn
	}
	ours := quiet(0)
	for i, k := range kinds {
		b.ReportMetric(quiet(i), k.name+"-ns/pair")
		b.ReportMetric(float64(allocs[i])/float64(pairsPerTurn*len(turns[i])), k.name+"-allocs/pair")
		if i > 0 {
			b.ReportMetric(quiet(i)/ours, "x-"+k.name)
		}
	}
}

// pairs is one turn: how long it took, and how often memory was allocated.
func pairs(ctx context.Context, b *testing.B, k kind, c contender) (time.Duration, uint64) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	patiently(k, func() {
		for range pairsPerTurn {
			if err := c.with(ctx, "k", func() {}); err != nil {
				b.Fatalf("%s: %v", k.name, err)
			}
		}
	})
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return took, after.Mallocs - before.Mallocs
}
