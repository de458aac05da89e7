package redisbackend

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

// BenchmarkVerbs compares acquire and release of the port with two bare EVALSHA of the same
// client that send as many bytes and do nothing. They take turns, because the machine's speed
// changes; ratio is ours over bare.
func BenchmarkVerbs(b *testing.B) {
	client := connect(b, address(b))
	be := open(b, client, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	nothing := redis.NewScript("return ''")
	if err := nothing.Load(ctx, client).Err(); err != nil {
		b.Fatal(err)
	}
	key, queue, seats, counter := be.names.lease("k")
	keys := []string{key, queue, seats, counter.(string), tombstoneOf(be.names, "k", att)}
	bare := func() {
		nothing.EvalSha(ctx, client, keys, att, 10000, 10000, "0", 1700000000000, be.proc, 8192, "publish", "", 0, 0, 1, 1, 0)
		nothing.EvalSha(ctx, client, keys, att, "0", 0, "publish", "")
	}
	take := func(c lease.Claim) {
		if a, err := be.Leases().Acquire(ctx, c); err != nil || a.Status != lease.Granted {
			b.Fatal(a, err)
		}
	}
	give := func(c lease.Claim) {
		if was, err := be.Leases().Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt}); err != nil || was != lease.WasHeld {
			b.Fatal(was, err)
		}
	}
	ours := func() {
		c := claim("k")
		take(c)
		give(c)
	}
	b.Run("pair", func(b *testing.B) {
		var spent [2]time.Duration
		n := 0
		for b.Loop() {
			for i, f := range []func(){bare, ours} {
				start := time.Now()
				for range 50 {
					f()
				}
				spent[i] += time.Since(start)
			}
			n += 50
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(spent[0].Nanoseconds())/float64(n), "bare-ns/pair")
		b.ReportMetric(float64(spent[1].Nanoseconds())/float64(n), "ours-ns/pair")
		b.ReportMetric(float64(spent[1])/float64(spent[0]), "ratio")
	})
	verb := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	c := claim("k")
	verb("bare pair", bare)
	verb("acquire and release", ours)
	verb("acquire again", func() { take(c) })
	item := []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL}}
	verb("renew", func() { be.Leases().Renew(ctx, item) })
	hundred := make([]lease.Renewal, 100)
	for i := range hundred {
		hundred[i] = item[0]
	}
	verb("renew 100", func() { be.Leases().Renew(ctx, hundred) })
	verb("inspect", func() { _, _ = be.Leases().Inspect(ctx, "k") })
	verb("watch", func() { be.Leases().Watch("k", c.Attempt, func(lease.Event) {})() })
	verb("raise", func() { _ = be.Fences().Raise(ctx, "k", 1) })
	verb("guarded set", func() { _ = be.Guard().Set(ctx, "k", 1, "v", 0) })
}
