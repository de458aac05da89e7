package peerbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// turnTime ends a turn before its number of hand-offs is reached, for those who are slow or whose
// waiters all sleep while the key is free.
const turnTime = time.Second

var errNotAlone = errors.New("two were inside of the lock at once")

// compete is one turn: waiters have a lock until it was handed on this many times, or for
// turnTime. The count begins after as many grants as there are waiters, so that all have come, and
// ends before they leave.
func compete(ctx context.Context, s server, waiters []contender, handOffs int) (score, error) {
	ctx, cancel := context.WithCancel(ctx)
	winners := make(chan int) // the winner waits inside of the lock until it is counted
	var alone exclusion
	errs := make([]error, len(waiters))
	var wg sync.WaitGroup
	for i, c := range waiters {
		wg.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				err := c.with(ctx, "k", func() {
					defer alone.enter()()
					select {
					case winners <- i:
					case <-ctx.Done():
					}
				})
				if err != nil && ctx.Err() == nil {
					errs[i] = fmt.Errorf("waiter %d: %w", i, err)
				}
			}
		})
	}
	warm := newScore(len(waiters))
	last := warm.watch(winners, -1, func() bool { return warm.grants == len(waiters) })
	turn := newScore(len(waiters))
	asked := s.asked()
	start := time.Now()
	turn.watch(winners, last, func() bool { return turn.handOffs == handOffs })
	turn.took = time.Since(start)
	turn.requests = s.asked() - asked
	cancel()
	wg.Wait()
	if alone.broken.Load() {
		errs = append(errs, errNotAlone)
	}
	return turn, errors.Join(errs...)
}

// watch counts winners until it is enough or turnTime is over, and returns the last of them.
func (r *score) watch(winners <-chan int, last int, enough func() bool) int {
	over := time.NewTimer(turnTime)
	defer over.Stop()
	for !enough() {
		select {
		case to := <-winners:
			r.grant(to, last)
			last = to
		case <-over.C:
			return last
		}
	}
	return last
}
