package etcdbackend

import (
	"testing"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func TestLeases(t *testing.T) {
	client := connect(t, endpoints(t))
	backendtest.Leases(t, func(t *testing.T) lease.Backend { return open(t, client, nil).Leases() })
}

func TestFences(t *testing.T) {
	client := connect(t, endpoints(t))
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return open(t, client, nil).Fences() })
}
