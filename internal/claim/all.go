package claim

import (
	"context"
	"time"

	"github.com/concord-go/concord/lease"
)

// AcquireAll asks for all wishes, which have one Queue, and returns a hold for each in their
// order, or none. The keys are taken in the engine's one order of all keys, and those that it has
// are kept while it waits for the next, so two AcquireAll cannot wait for each other.
//
// The error is as with Acquire. failed is the index of the wish that it speaks of, -1 if it speaks
// of none.
func (k *Keeper) AcquireAll(ctx context.Context, wishes []Wish) (holds []*Hold, failed int, err error) {
	if err := ctx.Err(); err != nil {
		return nil, -1, err
	}
	if err := k.enter(); err != nil {
		return nil, -1, err
	}
	defer k.running.Done()
	g := &several{keeper: k, signal: make(chan struct{}, 1)}
	for _, w := range wishes {
		h := k.newHold(ctx, w)
		h.signal = g.signal
		g.holds = append(g.holds, h)
		g.claims = append(g.claims, h.claim)
	}
	for _, h := range g.holds {
		h.stop = k.backend.Watch(h.claim.Key, h.claim.Attempt, h.notify)
	}
	if failed, err = g.obtain(ctx); err != nil {
		g.giveUp(err)
		return nil, failed, err
	}
	return g.holds, -1, nil
}

// several is the work of one AcquireAll.
type several struct {
	keeper *Keeper
	holds  []*Hold
	claims []lease.Claim
	signal chan struct{} // something was pushed for one of them
}

// obtain asks until all are held, or one is refused or lost.
func (g *several) obtain(ctx context.Context) (failed int, err error) {
	k, first := g.keeper, g.holds[0]
	answered := time.Now()
	for {
		sent := time.Now()
		answers, err := call(ctx, k, batchTimeout(k.opt.TTL, len(g.holds)), ordinary, func(ctx context.Context) ([]lease.Answer, error) {
			return k.backend.AcquireAll(ctx, g.claims)
		})
		if err == nil && len(answers) != len(g.holds) {
			err = errMiscounted
		}
		if err != nil {
			for _, h := range g.holds {
				h.unanswered(err)
			}
			if err := first.retry(ctx, err, answered); err != nil {
				return -1, err
			}
			continue
		}
		answered = sent
		wait, failed, err := g.take(sent, answers)
		if wait == 0 || err != nil {
			return failed, err
		}
		if err := g.wait(ctx, wait); err != nil {
			return -1, err
		}
	}
}

// take lets the holds begin that were granted and returns how long to wait before asking again,
// zero when all have begun.
func (g *several) take(sent time.Time, answers []lease.Answer) (wait time.Duration, failed int, err error) {
	k := g.keeper
	all := true
	wait = attemptTimeout(k.opt.TTL)
	for i, a := range answers {
		h := g.holds[i]
		switch a.Status {
		case lease.Granted:
			h.placed = true
			held, err := h.beginAgain(sent, a)
			if err != nil {
				return 0, i, err
			}
			all = all && held
		case lease.Queued:
			h.placed = true
			wait, all = heartbeat(h.claim.TTL, h.claim.Window, a), false
		case lease.Unknown: // not reached yet
			all = false
		default:
			return 0, i, &RefusedError{Answer: a}
		}
	}
	if all {
		return 0, -1, nil
	}
	return wait, -1, nil
}

// wait returns when it is time to ask again.
func (g *several) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.signal:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.keeper.closing:
		return lease.ErrClosed
	}
	return nil
}

// beginAgain is begin for an answer that may speak of a hold that has begun already. What was lost
// since is an error: the others must not be held without it.
func (h *Hold) beginAgain(sent time.Time, a lease.Answer) (held bool, err error) {
	h.mu.Lock()
	s, loss := h.state, h.loss
	h.mu.Unlock()
	switch {
	case loss != nil:
		return false, loss
	case s == asking:
		return h.begin(sent, a.Left, a.Token)
	}
	return true, nil
}

// giveUp ends what was begun and cleans up the rest, in the background.
func (g *several) giveUp(reason error) {
	k := g.keeper
	for _, h := range g.holds {
		h.mu.Lock()
		begun := h.state != asking
		h.mu.Unlock()
		switch {
		case begun:
			k.running.Go(func() { _ = h.Release(context.WithoutCancel(h.ctx)) }) // what fails is reported by Events.Cleaned
		case h.placed:
			h.cancel(reason)
			k.running.Go(func() { k.clean(h, false) })
		default:
			h.cancel(reason)
			h.stop()
		}
	}
}
