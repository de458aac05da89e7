package peerbench

import (
	"fmt"
	"testing"
)

// handOffsPerWaiter is the length of a turn, if turnTime does not end it.
const handOffsPerWaiter = 10

// BenchmarkHandOff compares how fast one key goes from waiter to waiter.
func BenchmarkHandOff(b *testing.B) {
	for _, waiters := range []int{16, 64} {
		b.Run(fmt.Sprintf("redis/%d", waiters), func(b *testing.B) {
			handOff(b, redisServer(b), waiters, concordOnRedis, rueidisLock, redisLock)
		})
		b.Run(fmt.Sprintf("etcd/%d", waiters), func(b *testing.B) {
			handOff(b, etcdServer(b), waiters, concordOnEtcd, etcdMutex)
		})
	}
}

// handOff lets the kinds take turns, and compares the first with the others.
func handOff(b *testing.B, s server, waiters int, kinds ...kind) {
	open := make([][]contender, len(kinds))
	for i, k := range kinds {
		for range waiters {
			open[i] = append(open[i], enlist(b, s, k))
		}
	}
	scores := make([]score, len(kinds))
	for i := range scores {
		scores[i] = newScore(waiters)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, k := range kinds {
			var turn score
			var err error
			patiently(k, func() { turn, err = compete(b.Context(), s, open[i], handOffsPerWaiter*waiters) })
			if err != nil {
				b.Fatalf("%s: %v", k.name, err)
			}
			scores[i].add(turn)
		}
	}
	for i, k := range kinds {
		if scores[i].handOffs == 0 {
			b.Fatalf("%s: not one hand-off", k.name)
		}
	}
	b.ReportMetric(0, "ns/op")
	ours := scores[0].perSecond(scores[0].handOffs)
	for i, k := range kinds {
		r := &scores[i]
		theirs := r.perSecond(r.handOffs)
		b.ReportMetric(theirs, k.name+"-hand-offs/s")
		b.ReportMetric(r.perSecond(r.grants), k.name+"-grants/s")
		b.ReportMetric(r.unevenness(), k.name+"-wins-max/min")
		if s.calls != nil {
			b.ReportMetric(float64(r.requests)/float64(r.handOffs), k.name+"-requests/hand-off")
		}
		if i > 0 {
			b.ReportMetric(ours/theirs, "x-"+k.name)
		}
	}
}

// enlist opens a contender and closes it at the end of the benchmark.
func enlist(b *testing.B, s server, k kind) contender {
	b.Helper()
	c, err := k.open(s)
	if err != nil {
		b.Fatalf("%s: %v", k.name, err)
	}
	b.Cleanup(func() {
		if err := c.close(); err != nil {
			b.Errorf("%s: close: %v", k.name, err)
		}
	})
	return c
}
