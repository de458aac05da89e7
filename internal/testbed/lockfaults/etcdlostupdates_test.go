package lockfaults

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// addOnEtcd makes one addition as add does, to a counter on etcd.
func (a *adders) addOnEtcd(p *etcdProcess, paused bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*eventually)
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
	before, err := p.data(ctx, counterKey)
	for now := before; err == nil && paused && now == before; time.Sleep(time.Millisecond) {
		now, err = p.data(ctx, counterKey)
	}
	if err != nil {
		return err
	}
	if paused {
		a.pauses.Add(1)
	}
	n, err := strconv.Atoi(before)
	if err != nil {
		return err
	}
	after := strconv.Itoa(n + 1)
	if a.fenced {
		err = p.guarded(ctx, l.Token(), counterKey, after)
	} else {
		_, err = p.client.Put(ctx, counterKey, after)
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

// runOnEtcd lets workers add and returns the counter.
func (a *adders) runOnEtcd(t *testing.T) int64 {
	const workers, sleepers, rounds, pauses = 8, 2, 40, 2
	a.sleepy.Store(sleepers)
	e, list := startEtcd(t, 1, workers-sleepers, nil)
	for range sleepers {
		list = append(list, newEtcdProcess(t, recommended.Etcd(e.Endpoints()), &lock.Options{TTL: leastTTL, NoRenew: true}))
	}
	if _, err := list[0].client.Put(t.Context(), counterKey, "0"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, p := range list {
		sleepy := i >= workers-sleepers
		wg.Go(func() {
			// While one is paused, somebody else must be there to take over.
			for n := 0; n < rounds || a.sleepy.Load() > 0; n++ {
				if err := a.addOnEtcd(p, sleepy && n%4 == 1 && n/4 < pauses); err != nil {
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
	if n := a.pauses.Load(); n != sleepers*pauses {
		t.Errorf("%d pauses past the TTL, want %d", n, sleepers*pauses)
	}
	text, err := list[0].data(t.Context(), counterKey)
	counter, failure := strconv.ParseInt(text, 10, 64)
	if err := errors.Join(err, failure); err != nil {
		t.Fatal(err)
	}
	return counter
}

func TestEtcdPausedHoldersLoseNoUpdateWithFencing(t *testing.T) {
	t.Parallel()
	a := &adders{fenced: true}
	counter := a.runOnEtcd(t)
	if made := a.made.Load(); made != counter {
		t.Errorf("%d additions made, the counter is %d", made, counter)
	}
	if a.fences.Load() < a.pauses.Load() {
		t.Errorf("%d late writes refused of %d", a.fences.Load(), a.pauses.Load())
	}
	t.Logf("%d additions made, %d lost, %d refused, %d pauses past the TTL",
		a.made.Load(), a.made.Load()-counter, a.fences.Load(), a.pauses.Load())
}

func TestEtcdPausedHoldersLoseUpdatesWithoutFencing(t *testing.T) {
	t.Parallel()
	a := &adders{}
	counter := a.runOnEtcd(t)
	lost := a.made.Load() - counter
	if lost <= 0 {
		t.Errorf("%d additions made, the counter is %d: the test shows nothing", a.made.Load(), counter)
	}
	t.Logf("%d additions made, %d lost, %d pauses past the TTL", a.made.Load(), lost, a.pauses.Load())
}
