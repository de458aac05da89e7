package oteltest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/election"
)

// drain is how long the work of the story's leaders may go on after their terms.
const drain = 5 * time.Second

// elections: terms that end in each way that a test can bring about, a candidate that falls sick, and
// one that cannot stand.
func elections(t *testing.T, ctx context.Context, be *memorybackend.Backend, o *concordotel.Options) {
	hooks, err := concordotel.Election(o)
	if err != nil {
		t.Fatal(err)
	}
	var sick atomic.Bool
	candidate := func(id string, priority int) *election.Election {
		c := election.Candidate{ID: key(id), Addr: secret + ":80", Meta: []byte(secret), Priority: priority}
		e, err := election.New(be.Leases(), secret, c, &election.Options{TTL: ttl, Drain: drain, Hooks: hooks, Healthy: func(context.Context) error {
			time.Sleep(time.Millisecond) // it looks at something
			if id == "low" && sick.Load() {
				return errors.New(secret)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	low, high := candidate("low", 0), candidate("high", 5)
	resigned(t, ctx, be, low)
	taken(t, ctx, be, low)

	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := low.Run(running, func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("run = %v", err)
		}
	})
	time.Sleep(time.Second) // low leads
	mustCampaign(t, ctx, high)
	if err := high.Close(ctx); err != nil {
		t.Error(err)
	}
	time.Sleep(ttl) // low leads again
	sick.Store(true)
	time.Sleep(ttl)
	be.Control().FailNext(1<<30, nil)
	sick.Store(false)
	time.Sleep(4 * ttl) // and does not get through to stand
	be.Control().FailNext(0, nil)
	time.Sleep(4 * ttl) // and leads again
	sick.Store(true)
	time.Sleep(ttl)
	stop()
	wg.Wait()
	if err := low.Close(ctx); err != nil {
		t.Error(err)
	}
	synctest.Wait() // until the last hooks have returned
}

// resigned: a term of 4 s in which a renewal fails, the one at 3 s; the next one is on time.
func resigned(t *testing.T, ctx context.Context, be *memorybackend.Backend, e *election.Election) {
	l := mustCampaign(t, ctx, e)
	be.Control().FailNext(1, nil)
	time.Sleep(4 * time.Second)
	if err := l.Resign(ctx); err != nil {
		t.Error(err)
	}
}

// taken: a term that is ended from outside, one that the engine forgets and whose work does not end
// in time, and one whose work is done.
func taken(t *testing.T, ctx context.Context, be *memorybackend.Backend, e *election.Election) {
	terms := 0
	err := e.Run(ctx, func(ctx context.Context, _ election.Term) error {
		switch terms++; terms {
		case 1:
			be.Control().Revoke("election/"+secret, secret)
			<-ctx.Done()
			time.Sleep(time.Second)
		case 2:
			be.Control().Lose("election/" + secret)
			<-ctx.Done()
			time.Sleep(2 * drain)
		default:
			time.Sleep(time.Second)
		}
		return nil
	})
	if err != nil || terms != 3 {
		t.Errorf("run = %v after %d terms", err, terms)
	}
}

func mustCampaign(t *testing.T, ctx context.Context, e *election.Election) *election.Leadership {
	t.Helper()
	l, err := e.Campaign(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
