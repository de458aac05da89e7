package oteltest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/membership"
)

// groups: members that leave, are lost and join again, are thrown out and stay until the end, under the
// eyes of a watcher.
func groups(t *testing.T, ctx context.Context, be *memorybackend.Backend, o *concordotel.Options) {
	hooks, err := concordotel.Membership(o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := membership.New(be.Leases(), secret, &membership.Options{TTL: ttl, Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, err := range g.Watch(watching) {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("watch = %v", err)
			}
		}
	})
	synctest.Wait() // it watches

	leaves := mustJoin(t, ctx, g, "leaves")
	be.Control().FailNext(1, nil) // the renewal at 3 s; the next one is on time
	time.Sleep(4 * time.Second)
	if err := leaves.Leave(ctx); err != nil {
		t.Error(err)
	}
	returns := mustJoin(t, ctx, g, "returns")
	be.Control().Lose("membership/" + secret)
	time.Sleep(ttl) // it is in the group again
	be.Control().FailNext(1<<30, nil)
	time.Sleep(8 * ttl) // it is lost, and does not get through to join
	be.Control().FailNext(0, nil)
	time.Sleep(2 * ttl) // and is in the group again
	be.Control().Revoke("membership/"+secret, secret)
	<-returns.Context().Done()
	mustJoin(t, ctx, g, "stays")
	mustJoin(t, ctx, g, "stays too")
	time.Sleep(3 * time.Second) // the watcher has seen them, and has stopped waiting for the one that was thrown out
	stop()
	wg.Wait()
	if err := g.Close(ctx); err != nil {
		t.Error(err)
	}
	synctest.Wait() // until the last hooks have returned
}

func mustJoin(t *testing.T, ctx context.Context, g *membership.Group, id string) *membership.Registration {
	t.Helper()
	r, err := g.Join(ctx, membership.Member{ID: key(id), Addr: secret + ":80", Zone: secret, Weight: 1, Meta: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
