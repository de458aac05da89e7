package claim

import (
	"context"
	"time"

	"github.com/concord-go/concord/lease"
)

// Lower gives up a part of the weight, so that others may be granted; the grant stays the same. It
// may be repeated after a failure.
//
// The error is lease.ErrNotHeld if the engine no longer had the hold, the end of ctx, or what the
// engine failed with.
func (h *Hold) Lower(ctx context.Context, weight int64) error {
	h.mu.Lock()
	if h.weight <= weight {
		h.mu.Unlock()
		return nil
	}
	h.mu.Unlock()
	k := h.keeper
	a, err := Ask(ctx, k, func(ctx context.Context) (lease.Answer, error) {
		item := lease.Renewal{Key: h.claim.Key, Attempt: h.claim.Attempt, TTL: h.claim.TTL, Weight: weight}
		sent := time.Now()
		answers := k.backend.Renew(ctx, []lease.Renewal{item})
		if len(answers) != 1 {
			return lease.Answer{}, errMiscounted
		}
		if a := answers[0]; a.Err != nil {
			return a, a.Err
		}
		h.renewed(sent, answers[0])
		return answers[0], nil
	})
	if err != nil {
		return err
	}
	if a.Status != lease.Granted {
		return lease.ErrNotHeld
	}
	h.mu.Lock()
	h.weight = min(h.weight, weight)
	h.mu.Unlock()
	return nil
}
