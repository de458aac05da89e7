package backendtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// newMemory is a fresh memory backend, the reference.
func newMemory(t testing.TB) *memorybackend.Backend {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := be.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return be
}

func TestLeases(t *testing.T) {
	backendtest.Leases(t, func(t *testing.T) lease.Backend { return newMemory(t).Leases() })
}

func TestFences(t *testing.T) {
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return newMemory(t).Fences() })
}

func BenchmarkLeases(b *testing.B) {
	backendtest.BenchLeases(b, func(b *testing.B) lease.Backend { return newMemory(b).Leases() })
}

func TestLimits(t *testing.T) {
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return newMemory(t).Limits() })
}
