package memorybackend_test

import (
	"context"
	"testing"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

func TestLeases(t *testing.T) {
	backendtest.Leases(t, func(t *testing.T) lease.Backend { return newBackend(t).Leases() })
}

func TestFences(t *testing.T) {
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return newBackend(t).Fences() })
}

func TestLimits(t *testing.T) {
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return newBackend(t).Limits() })
}

func newBackend(t *testing.T) *memorybackend.Backend {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return be
}
