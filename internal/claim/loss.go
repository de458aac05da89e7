package claim

import (
	"context"
	"time"

	"github.com/concord-go/concord/lease"
)

// lose ends the hold; the first loss counts.
func (h *Hold) lose(cause lease.Cause, reason string, failure error) {
	h.mu.Lock()
	h.loseLocked(cause, reason, failure)
}

// loseLocked is lose for a caller that holds h.mu, which it unlocks.
func (h *Hold) loseLocked(cause lease.Cause, reason string, failure error) {
	if h.state != holding {
		h.mu.Unlock()
		return
	}
	first := h.loss == nil // it may have been asked to leave before
	h.state = lost
	if first {
		h.loss = &lease.LostError{Key: h.claim.Key, Token: h.token, Cause: cause, Reason: reason, Err: failure}
	}
	loss := h.loss
	h.stopTimers()
	h.mu.Unlock()

	h.cancel(loss)
	h.keeper.drop(h)
	if first {
		h.keeper.opt.Events.Lost(h, loss)
	}
}

// expire runs at the deadline, whatever the calls in progress are doing.
func (h *Hold) expire() {
	h.mu.Lock()
	if left := time.Until(h.end); h.state == holding && left > 0 {
		h.timer.Reset(left)
		h.mu.Unlock()
		return
	}
	if h.failure != nil {
		h.loseLocked(lease.Unreachable, "", h.failure)
	} else {
		h.loseLocked(lease.Expired, "", nil)
	}
}

// outstay ends a hold that has reached its longest time, and frees the key: unclean, since the work
// has not said that it is over.
func (h *Hold) outstay() {
	k := h.keeper
	h.lose(lease.Expired, "held for MaxHold", nil)
	k.running.Go(func() { h.finish(context.WithoutCancel(h.ctx), true) })
}

// leave ends the hold's context because somebody asked the holder to go. The claim itself is kept
// for the grace, so that the work can be wound up under the lock.
func (h *Hold) leave(ask lease.Ask) {
	h.mu.Lock()
	if h.state != holding || h.asked {
		h.mu.Unlock()
		return
	}
	h.asked = true
	cause := lease.Revoked
	if why := h.keeper.opt.Asked; why != nil {
		cause = why(ask.Reason)
	}
	h.loss = &lease.LostError{Key: h.claim.Key, Token: h.token, Cause: cause, Reason: ask.Reason}
	h.grace = time.AfterFunc(ask.Grace, func() { h.finish(context.WithoutCancel(h.ctx), true) })
	loss := h.loss
	h.mu.Unlock()

	h.cancel(loss)
	h.keeper.opt.Events.Lost(h, loss)
}

// slept notices that the machine was suspended since the hold was last known to be good, and ends
// the hold then: the monotonic clock stood while the engine's went on.
func (h *Hold) slept(now time.Time) bool {
	k := h.keeper
	from := k.ticked.Load()
	h.mu.Lock()
	if h.state != holding {
		h.mu.Unlock()
		return false
	}
	ref := h.base
	if from != nil && from.After(ref) {
		ref = *from
	}
	wall, monotonic := k.elapsed(ref, now)
	if !suspended(wall, monotonic, k.margin(h.life)) {
		h.mu.Unlock()
		return false
	}
	h.loseLocked(lease.ClockJump, "", nil)
	return true
}
