package etcdbackend

import (
	"testing"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

func TestLeases(t *testing.T) {
	client := connect(t, endpoints(t))
	backendtest.Leases(t, func(t *testing.T) lease.Backend { return open(t, client, nil).Leases() })
}

func TestFences(t *testing.T) {
	client := connect(t, endpoints(t))
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return open(t, client, nil).Fences() })
}

func TestLimits(t *testing.T) {
	client := connect(t, endpoints(t))
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return open(t, client, nil).Limits() })
}
