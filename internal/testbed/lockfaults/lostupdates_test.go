package lockfaults

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

const counterKey = "counter"

// adders add to a counter on the server, each addition a read and a write under the lock. Some
// are paused between the two until somebody else has added, as only a holder past its TTL can be.
type adders struct {
	fenced bool
	made   atomic.Int64 // additions whose write was accepted
	fences atomic.Int64 // additions whose write was refused
	pauses atomic.Int64
	sleepy atomic.Int64 // workers that are still to be paused
}

// add makes one addition and reports a failure.
func (a *adders) add(p *process, paused bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	l, err := p.locks.Acquire(ctx, "lock of the counter")
	if err != nil {
		return err
	}
	defer func() { _ = l.Release(ctx) }() // it is not held any more after a pause
	if a.fenced {
		if err := p.be.Guard().Raise(ctx, counterKey, l.Token()); errors.Is(err, fence.ErrFenced) {
			a.fences.Add(1)
			return nil
		} else if err != nil {
			return err
		}
	}
	n, err := p.client.Get(ctx, counterKey).Int()
	if err != nil {
		return err
	}
	for m := n; paused && m == n; time.Sleep(time.Millisecond) {
		if m, err = p.client.Get(ctx, counterKey).Int(); err != nil {
			return err
		}
	}
	if paused {
		a.pauses.Add(1)
	}
	if a.fenced {
		err = p.be.Guard().Set(ctx, counterKey, l.Token(), n+1, 0)
	} else {
		err = p.client.Set(ctx, counterKey, n+1, 0).Err()
	}
	switch {
	case err == nil:
		a.made.Add(1)
	case errors.Is(err, fence.ErrFenced):
		a.fences.Add(1)
		err = nil
	}
	return err
}

// run lets workers add and returns the counter.
func (a *adders) run(t *testing.T) int64 {
	const workers, sleepers, rounds, pauses = 8, 2, 40, 3
	a.sleepy.Store(sleepers)
	server := testbed.StartRedis(t, nil)
	var wg sync.WaitGroup
	var client *redis.Client
	for i := range workers {
		sleepy := i < sleepers
		o := &lock.Options{}
		if sleepy {
			o.TTL, o.NoRenew = time.Second, true
		}
		p := newProcess(t, server.Addr(), o)
		if client == nil {
			client = p.client
			if err := client.Set(t.Context(), counterKey, 0, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		wg.Go(func() {
			// While one is paused, somebody else must be there to take over.
			for n := 0; n < rounds || a.sleepy.Load() > 0; n++ {
				if err := a.add(p, sleepy && n%4 == 1 && n/4 < pauses); err != nil {
					t.Errorf("worker %d: %v", i, err)
					a.sleepy.Store(0)
					return
				}
				if sleepy && n/4 == pauses-1 && n%4 == 1 {
					a.sleepy.Add(-1)
				}
			}
		})
	}
	wg.Wait()
	counter, err := client.Get(t.Context(), counterKey).Int64()
	if err != nil {
		t.Fatal(err)
	}
	if n := a.pauses.Load(); n != sleepers*pauses {
		t.Errorf("%d pauses past the TTL, want %d", n, sleepers*pauses)
	}
	return counter
}

func TestPausedHoldersLoseNoUpdateWithFencing(t *testing.T) {
	t.Parallel()
	a := &adders{fenced: true}
	counter := a.run(t)
	if made := a.made.Load(); made != counter {
		t.Errorf("%d additions made, the counter is %d", made, counter)
	}
	if a.fences.Load() < a.pauses.Load() {
		t.Errorf("%d late writes refused of %d", a.fences.Load(), a.pauses.Load())
	}
	t.Logf("%d additions made, %d lost, %d refused, %d pauses past the TTL",
		a.made.Load(), a.made.Load()-counter, a.fences.Load(), a.pauses.Load())
}

func TestPausedHoldersLoseUpdatesWithoutFencing(t *testing.T) {
	t.Parallel()
	a := &adders{}
	counter := a.run(t)
	lost := a.made.Load() - counter
	if lost <= 0 {
		t.Errorf("%d additions made, the counter is %d: the test shows nothing", a.made.Load(), counter)
	}
	t.Logf("%d additions made, %d lost, %d pauses past the TTL", a.made.Load(), lost, a.pauses.Load())
}
