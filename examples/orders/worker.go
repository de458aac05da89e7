package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// think is how long a worker works on an order between reading and writing.
const think = 50 * time.Millisecond

// worker takes one order after the other.
type worker struct {
	number int
	plan   *plan
	shop   *shop
	locks  *lock.Locker

	thinks func(ctx context.Context) error // between reading and writing
	says   func(word string)
}

// work takes orders until ctx ends.
func (w *worker) work(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.order(ctx, rand.IntN(w.plan.items), 1+rand.IntN(9))
		switch {
		case errors.Is(err, fence.ErrFenced):
			w.says("refused") // too late: somebody else has the item, so the order is taken again
		case errors.Is(err, lock.ErrLost), errors.Is(err, lock.ErrUnavailable), errors.Is(err, lock.ErrUncertain):
			// The order was not made, or with a loss perhaps; the book tells which.
		case err != nil && ctx.Err() == nil:
			return err
		}
	}
	return nil
}

// order is the critical section. The context of the work is not that of the lock: a worker that was
// stopped writes before it looks, as real programs do.
func (w *worker) order(ctx context.Context, item, amount int) error {
	return w.locks.Do(ctx, fmt.Sprint("item/", item), func(_ context.Context, l *lock.Lease) error {
		rest, err := w.shop.rest(ctx, item, l.Token(), w.plan.fencing)
		if err != nil {
			return err
		}
		w.says("works")
		if err := w.thinks(ctx); err != nil {
			return err
		}
		w.says("writes")
		return w.shop.sell(ctx, item, rest-amount, amount, w.number, l.Token(), w.plan.fencing)
	})
}

// workerProcess is a worker with a process of its own. What it says is read by the one that started it.
func workerProcess(ctx context.Context, out io.Writer, p *plan) error {
	shop, err := openShop(ctx, p)
	if err != nil {
		return err
	}
	defer shop.close()
	leases, end, err := openLocks(ctx, p.locks)
	if err != nil {
		return err
	}
	defer end()
	locks, err := lock.New(leases, &lock.Options{TTL: p.ttl, Owner: fmt.Sprint("worker ", p.worker), Hooks: &lock.Hooks{}})
	if err != nil {
		return err
	}
	defer soon(ctx, locks.Close)
	w := &worker{
		number: p.worker, plan: p, shop: shop, locks: locks,
		thinks: func(context.Context) error { time.Sleep(think); return nil },
		says:   func(word string) { fmt.Fprintln(out, word) },
	}
	return w.work(ctx)
}
