package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lock"
)

// harm is what was done to the workers, and what came of it.
type harm struct{ stopped, killed, refused int }

// errKilled ends a worker that plays dead. What it held is not released.
var errKilled = errors.New("killed")

// playHarm runs workers as goroutines on one memory backend. Which of them is in the middle of an
// order takes the next blow: it is stopped for longer than its lock lasts, or is never heard of
// again. A stopped process renews nothing, so these locks are not renewed.
func playHarm(ctx context.Context, p *plan, shop *shop) (harm, error) {
	be, err := memorybackend.New(nil)
	if err != nil {
		return harm{}, err
	}
	defer soon(ctx, be.Close)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var stopped, killed, refused atomic.Int64
	blows := make(chan string)
	var wg sync.WaitGroup
	var start func(n int)
	start = func(n int) {
		wg.Go(func() {
			locks, err := lock.New(be.Leases(), &lock.Options{TTL: p.ttl, NoRenew: true, Owner: fmt.Sprint("worker ", n), Hooks: &lock.Hooks{}})
			if err != nil {
				stop(err)
				return
			}
			w := &worker{number: n, plan: p, shop: shop, locks: locks}
			w.says = func(word string) {
				if word == "refused" {
					refused.Add(1)
				}
			}
			w.thinks = func(ctx context.Context) error {
				select {
				case blow := <-blows:
					if blow == "kill" {
						killed.Add(1)
						return errKilled
					}
					stopped.Add(1)
					wait(ctx, 3*p.ttl)
				case <-time.After(think):
				}
				return nil
			}
			err = w.work(ctx)
			if errors.Is(err, errKilled) {
				start(n) // as a new process; what the old one held ends by itself
				return
			}
			soon(ctx, locks.Close)
			if err != nil {
				stop(err)
			}
		})
	}
	for n := 1; n <= p.workers; n++ {
		start(n)
	}
	for range p.harm {
		for _, blow := range []string{"stop", "kill"} {
			select {
			case blows <- blow:
			case <-ctx.Done():
			}
			wait(ctx, 4*p.ttl)
		}
	}
	cause := context.Cause(ctx)
	stop(nil)
	wg.Wait()
	return harm{int(stopped.Load()), int(killed.Load()), int(refused.Load())}, cause
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
