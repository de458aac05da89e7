package backendtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

// BenchLeases measures the two hot paths of [lease.Backend]: an uncontended acquire with its
// release, and one renewal of a hundred seats. newBackend is called once for each benchmark.
func BenchLeases(b *testing.B, newBackend func(b *testing.B) lease.Backend) {
	b.Run("acquire and release", func(b *testing.B) {
		be := newBackend(b)
		ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
		defer cancel()
		c := lease.Claim{Key: "k", TTL: long, Queue: true, Weight: 1, Limit: 1}
		b.ReportAllocs()
		for b.Loop() {
			c.Attempt = lease.NewAttempt()
			if a, err := be.Acquire(ctx, c); err != nil || a.Status != lease.Granted {
				b.Fatalf("Acquire: %s, %v", show(a), err)
			}
			if was, err := be.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt}); err != nil || was != lease.WasHeld {
				b.Fatalf("Release: %s, %v", found(was), err)
			}
		}
	})
	b.Run("renew 100", func(b *testing.B) {
		be := newBackend(b)
		ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
		defer cancel()
		items := make([]lease.Renewal, 100)
		for i := range items {
			c := lease.Claim{Key: fmt.Sprint("k", i), Attempt: lease.NewAttempt(), TTL: time.Hour, Weight: 1, Limit: 1}
			if a, err := be.Acquire(ctx, c); err != nil || a.Status != lease.Granted {
				b.Fatalf("Acquire: %s, %v", show(a), err)
			}
			items[i] = renewal(c, false)
		}
		b.ReportAllocs()
		for b.Loop() {
			for i, a := range be.Renew(ctx, items) {
				if a.Err != nil || a.Status != lease.Granted {
					b.Fatalf("Renew, item %d: %s, %v", i, show(a), a.Err)
				}
			}
		}
	})
}
