package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/lease"
)

// Release ends the hold and returns when the engine has confirmed it, or after a short bound of
// its own, and then goes on in the background. Only the values of ctx are used: a cancelled ctx
// must not keep the claim. Every call returns the result of the first.
//
// The result is nil, lease.ErrNotHeld if the engine no longer had the hold, or lease.ErrUncertain.
func (h *Hold) Release(ctx context.Context) error {
	h.finish(context.WithoutCancel(ctx), false)
	return h.result
}

// ReleaseTo is Release, and grants to the waiting claim of that attempt first, if it is there and
// alive.
func (h *Hold) ReleaseTo(ctx context.Context, heir lease.Attempt) error {
	h.mu.Lock()
	h.heir = heir
	h.mu.Unlock()
	return h.Release(ctx)
}

// finish is Release, or with unclean what the core does when the work has not said that it is over: a
// lock-delay then keeps others out for a while.
func (h *Hold) finish(ctx context.Context, unclean bool) {
	h.once.Do(func() { h.result = h.letGo(ctx, unclean) })
}

func (h *Hold) letGo(ctx context.Context, unclean bool) error {
	k := h.keeper
	k.running.Add() // also while the Keeper closes: it waits for this
	defer k.running.Done()
	h.mu.Lock()
	resigned := h.state == holding && h.loss == nil
	if h.state == holding {
		h.state = released
	}
	h.stopTimers()
	if h.grace != nil {
		h.grace.Stop()
	}
	loss := h.loss
	h.mu.Unlock()
	k.drop(h)
	h.cancel(&lease.LostError{Key: h.claim.Key, Token: h.Token(), Cause: lease.Resigned})
	if resigned {
		k.opt.Events.Released(h)
	}

	bound := time.Now().Add(2 * attemptTimeout(h.claim.TTL))
	for try := 1; ; try++ {
		found, err := h.sendRelease(ctx, min(time.Until(bound), attemptTimeout(h.claim.TTL)), unclean)
		switch {
		case err == nil && (found == lease.WasHeld || try > 1):
			h.stop()
			return nil
		case err == nil:
			h.stop()
			if loss != nil {
				return fmt.Errorf("%w: %w", lease.ErrNotHeld, loss)
			}
			return lease.ErrNotHeld
		case !errors.Is(err, lease.ErrUnavailable):
			h.stop()
			return err
		}
		pause := backoff(h.claim.TTL)
		if time.Now().Add(pause).After(bound) {
			k.running.Go(func() { k.clean(h, unclean) })
			return fmt.Errorf("%w: %w", lease.ErrUncertain, err)
		}
		time.Sleep(pause)
	}
}

func (h *Hold) sendRelease(ctx context.Context, timeout time.Duration, unclean bool) (lease.Released, error) {
	k := h.keeper
	h.mu.Lock()
	r := lease.Release{Key: h.claim.Key, Attempt: h.claim.Attempt, Uncertain: h.uncertain, Unclean: unclean, To: h.heir}
	h.mu.Unlock()
	return call(ctx, k, timeout, ordinary, func(ctx context.Context) (lease.Released, error) {
		return k.backend.Release(ctx, r)
	})
}

// clean removes in the background what a claim may have left, until the engine has confirmed it or
// has dropped it by itself. Close lets it try once more and no longer.
func (k *Keeper) clean(h *Hold, unclean bool) {
	defer h.stop()
	until := time.Now().Add(h.claim.TTL + h.claim.Delay)
	closing := false
	for try := 1; ; try++ {
		_, err := h.sendRelease(context.WithoutCancel(h.ctx), attemptTimeout(h.claim.TTL), unclean)
		if err == nil || !errors.Is(err, lease.ErrUnavailable) || closing || time.Now().After(until) {
			k.opt.Events.Cleaned(h.claim.Key, try, err)
			return
		}
		closing = k.Pause(context.Background(), backoff(h.claim.TTL)) != nil
	}
}
