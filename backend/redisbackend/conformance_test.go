package redisbackend

import (
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func TestLeases(t *testing.T) {
	client := connect(t, address(t))
	backendtest.Leases(t, func(t *testing.T) lease.Backend {
		be := open(t, client, nil)
		subscribe(t, be)
		return be.Leases()
	})
}

func TestFences(t *testing.T) {
	client := connect(t, address(t))
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return open(t, client, nil).Fences() })
}

// subscribe opens the subscription before any claim has waited: a holder gets no event as long
// as there is none, and some cases expect one right after the first claim has waited.
func subscribe(t *testing.T, be *Backend) {
	be.hub.mu.Lock()
	be.sites[0].open()
	be.hub.mu.Unlock()
	eventually(t, "the subscription is confirmed", be.sites[0].healthy)
}

// eventually waits for something that must happen soon.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for give := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(give) {
			tb.Fatalf("did not happen: %s", what)
		}
	}
}
