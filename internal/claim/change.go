package claim

import (
	"context"
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

// Lower gives up a part of the weight, so that others may be granted; the grant stays the same. It
// may be repeated after a failure.
//
// The error is lease.ErrNotHeld if the engine no longer had the hold, the end of ctx, or what the
// engine failed with.
func (h *Hold) Lower(ctx context.Context, weight int64) error {
	if h.Weight() <= weight {
		return nil
	}
	if err := h.change(ctx, lease.Renewal{Weight: weight}); err != nil {
		return err
	}
	h.mu.Lock()
	h.weight = min(h.weight, weight)
	h.mu.Unlock()
	return nil
}

// Update replaces what others may read of the hold. Of several updates the one that began last
// wins, also when they overtake each other. The error is as with Lower.
func (h *Hold) Update(ctx context.Context, meta []byte) error {
	h.mu.Lock()
	h.metaSeq++
	seq := h.metaSeq
	h.mu.Unlock()
	return h.change(ctx, lease.Renewal{MetaSeq: seq, Meta: slices.Clone(meta)})
}

// change renews the hold with more than a new life.
func (h *Hold) change(ctx context.Context, item lease.Renewal) error {
	item.Key, item.Attempt, item.TTL = h.claim.Key, h.claim.Attempt, h.claim.TTL
	k := h.keeper
	a, err := Ask(ctx, k, func(ctx context.Context) (lease.Answer, error) {
		sent := time.Now()
		answers := k.backend.Renew(ctx, []lease.Renewal{item})
		if len(answers) != 1 {
			return lease.Answer{}, errMiscounted
		}
		if answers[0].Err == nil {
			h.renewed(sent, answers[0])
		}
		return answers[0], answers[0].Err
	})
	if err == nil && a.Status != lease.Granted {
		err = lease.ErrNotHeld
	}
	return err
}
