package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/lease"
)

// RefusedError is the engine's no: the answer is Held, Full, Conflict or Gone.
type RefusedError struct {
	Answer lease.Answer // what the engine said
}

// Error names the status.
func (e *RefusedError) Error() string { return "refused: " + e.Answer.Status.String() }

// Acquire asks for what is wished and waits for it if Queue is set. The hold's context has the
// values of ctx and not its cancellation.
//
// The error is a *RefusedError, the end of ctx, lease.ErrClosed, or what the engine failed with;
// with lease.ErrUncertain in it when a request was sent and nobody answered. What such a request
// may leave is cleaned up in the background.
func (k *Keeper) Acquire(ctx context.Context, w Wish) (*Hold, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.enter(); err != nil {
		return nil, err
	}
	defer k.running.Done()
	if w.local() {
		if err := k.gates.enter(ctx, k.closing, w.Key); err != nil {
			return nil, err
		}
		defer k.gates.leave(w.Key)
	}
	h := k.newHold(ctx, w)
	// Watched before the first request: a push can overtake the answer.
	h.stop = k.backend.Watch(w.Key, h.claim.Attempt, h.notify)
	if err := h.obtain(ctx); err != nil {
		h.cancel(err)
		if h.placed {
			k.running.Go(func() { k.clean(h, false) })
		} else {
			h.stop()
		}
		return nil, err
	}
	return h, nil
}

// obtain asks until the claim is held or refused. The attempt stays the same throughout, so stray
// copies of a request change nothing.
func (h *Hold) obtain(ctx context.Context) error {
	k := h.keeper
	answered := time.Now()
	for {
		sent := time.Now()
		a, err := call(ctx, k, attemptTimeout(h.claim.TTL), ordinary, func(ctx context.Context) (lease.Answer, error) {
			return k.backend.Acquire(ctx, h.claim)
		})
		if err != nil {
			h.unanswered(err)
			if err := h.retry(ctx, err, answered); err != nil {
				return err
			}
			continue
		}
		answered = sent
		switch a.Status {
		case lease.Granted:
			h.placed = true
			if held, err := h.begin(sent, a.Left, a.Token); held || err != nil {
				return err
			}
			a = lease.Answer{Status: lease.Queued} // its time was over on arrival: renew at once
		case lease.Queued:
			h.placed = true
		default:
			return &RefusedError{Answer: a}
		}
		if again, err := h.wait(ctx, a); !again {
			return err
		}
	}
}

// wait waits in line. again means that the engine does not know the claim any more.
func (h *Hold) wait(ctx context.Context, a lease.Answer) (again bool, err error) {
	k := h.keeper
	answered := time.Now()
	timer := time.NewTimer(heartbeat(h.claim.TTL, h.claim.Window, a))
	defer timer.Stop()
	for {
		select {
		case <-h.signal:
		case <-timer.C:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-k.closing:
			return false, lease.ErrClosed
		}
		if held, err := h.beginPushed(); held || err != nil {
			return false, err
		}
		sent := time.Now()
		a, err := h.renewWaiting(ctx)
		switch {
		case err != nil:
			if err := h.retry(ctx, err, answered); err != nil {
				return false, err
			}
			timer.Reset(0)
			continue
		case a.Status == lease.Granted:
			if held, err := h.begin(sent, a.Left, a.Token); held || err != nil {
				return false, err
			}
			timer.Reset(backoff(h.claim.TTL))
		case a.Status == lease.Queued:
			timer.Reset(heartbeat(h.claim.TTL, h.claim.Window, a))
		default:
			return true, nil
		}
		answered = sent
	}
}

func (h *Hold) renewWaiting(ctx context.Context) (lease.Answer, error) {
	k := h.keeper
	a, err := call(ctx, k, attemptTimeout(h.claim.TTL), ordinary, func(ctx context.Context) (lease.Answer, error) {
		item := lease.Renewal{Key: h.claim.Key, Attempt: h.claim.Attempt, TTL: h.claim.TTL, Waiting: true}
		answers := k.backend.Renew(ctx, []lease.Renewal{item})
		if len(answers) != 1 {
			return lease.Answer{}, errMiscounted
		}
		return answers[0], answers[0].Err
	})
	return a, err
}

var errMiscounted = errors.New("backend answered another number of renewals than it was asked")

// unanswered notes that a request may have taken effect, or may still.
func (h *Hold) unanswered(err error) {
	if errors.Is(err, lease.ErrInvalid) || errors.Is(err, lease.ErrUnsupported) || errors.Is(err, errSaturated) {
		return // refused before it was sent
	}
	h.placed = true
	h.uncertain = true
}

// retry pauses before a failed call is repeated. It returns an error when it should not be: the
// failure is final, the caller or the Keeper has ended, or nothing was answered for too long.
func (h *Hold) retry(ctx context.Context, err error, answered time.Time) error {
	k := h.keeper
	uncertain := func(reason error) error {
		if !h.uncertain {
			return reason
		}
		return fmt.Errorf("%w: %w", lease.ErrUncertain, reason)
	}
	switch {
	case ctx.Err() != nil:
		return uncertain(ctx.Err())
	case !errors.Is(err, lease.ErrUnavailable):
		return err
	case time.Since(answered) > patience(h.claim.TTL, h.claim.Queue):
		return uncertain(err)
	}
	if stop := k.Pause(ctx, backoff(h.claim.TTL)); stop != nil {
		return uncertain(fmt.Errorf("%w (last failure: %w)", stop, err))
	}
	return nil
}

// retryable reports whether a failed call of the front should be repeated.
func retryable(ctx context.Context, err error) bool {
	return ctx.Err() == nil && errors.Is(err, lease.ErrUnavailable)
}
