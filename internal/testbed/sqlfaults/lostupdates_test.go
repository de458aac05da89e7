package sqlfaults

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// adders add to the counter, each addition a read in one transaction and a write in another, under
// the lock. Some are paused between the two until somebody else has added.
type adders struct {
	fenced               bool
	made, fences, pauses atomic.Int64
	sleepy               atomic.Int64 // workers that are still to be paused
}

func (a *adders) add(p *place, locks *lock.Locker, paused bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	l, err := locks.Acquire(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = l.Release(ctx) }() // it is not held any more after a pause
	in := func(do func(tx *sql.Tx) error) error {
		if a.fenced {
			return p.Guard().Tx(ctx, resource, l.Token(), do)
		}
		tx, err := p.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return errors.Join(do(tx), tx.Commit())
	}
	var n int64
	err = in(func(tx *sql.Tx) (err error) {
		n, err = p.read(ctx, tx)
		return err
	})
	for m := n; err == nil && paused && m == n; time.Sleep(time.Millisecond) {
		m, err = p.read(ctx, p.db)
	}
	if paused {
		a.pauses.Add(1)
	}
	if err == nil {
		err = in(func(tx *sql.Tx) error { return p.write(ctx, tx, n+1) })
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
func (a *adders) run(t *testing.T, p *place) int64 {
	const workers, sleepers, rounds, pauses = 6, 2, 25, 2
	a.sleepy.Store(sleepers)
	join, _ := lockers(t)
	var wg sync.WaitGroup
	for i := range workers {
		sleepy := i < sleepers
		o := &lock.Options{}
		if sleepy {
			o.TTL, o.NoRenew = 300*time.Millisecond, true
		}
		locks := join(o)
		wg.Go(func() {
			// While one is paused, somebody else must be there to take over.
			for n := 0; n < rounds || a.sleepy.Load() > 0; n++ {
				paused := sleepy && n%4 == 1 && n/4 < pauses
				if err := a.add(p, locks, paused); err != nil {
					t.Errorf("worker %d: %v", i, err)
					a.sleepy.Store(0)
					return
				}
				if paused && n/4 == pauses-1 {
					a.sleepy.Add(-1)
				}
			}
		})
	}
	wg.Wait()
	if n := a.pauses.Load(); n != sleepers*pauses {
		t.Errorf("%d pauses past the TTL, want %d", n, sleepers*pauses)
	}
	return p.counter(t)
}

func TestPausedHoldersLoseNoUpdateWithFencing(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		a := &adders{fenced: true}
		counter := a.run(t, p)
		if made := a.made.Load(); made != counter {
			t.Errorf("%d additions made, the counter is %d", made, counter)
		}
		if a.fences.Load() < a.pauses.Load() {
			t.Errorf("%d late writes refused of %d", a.fences.Load(), a.pauses.Load())
		}
		t.Logf("%d additions made, %d refused, %d pauses past the TTL", a.made.Load(), a.fences.Load(), a.pauses.Load())
	})
}

func TestPausedHoldersLoseUpdatesWithoutFencing(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		a := &adders{}
		counter := a.run(t, p)
		lost := a.made.Load() - counter
		if lost <= 0 {
			t.Errorf("%d additions made, the counter is %d: the test shows nothing", a.made.Load(), counter)
		}
		t.Logf("%d additions made, %d lost, %d pauses past the TTL", a.made.Load(), lost, a.pauses.Load())
	})
}
