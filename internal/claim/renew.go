package claim

import (
	"context"
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

const (
	tickEvery = time.Second
	maxBatch  = 10_000 // holds of one renewal call; the backend splits it into requests
)

// loop sends the renewals that are due and watches the clocks. It runs from the first hold to Close.
func (k *Keeper) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.wake:
		case <-k.closing:
			return
		}
		now := time.Now()
		k.compareClocks(now)
		timer.Reset(k.renewDue(now))
	}
}

// renewDue starts the renewals due now, together with those due soon, and returns the time until
// the loop has to look again. While holds come and go it looks once a second, so that a short hold
// does not have to wake it.
func (k *Keeper) renewDue(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return never
	}
	if first := k.holds.first(); first != nil && !first.due.After(now) {
		// Each batch sets the next due time when it has its answers.
		batch := k.holds.take(now.Add(k.opt.TTL/30), now.Add(never))
		for chunk := range slices.Chunk(batch, maxBatch) {
			k.running.Go(func() { k.renew(chunk) })
		}
	}
	wait := tickEvery
	switch first := k.holds.first(); {
	case first != nil:
		wait = min(wait, first.due.Sub(now))
	case !k.used:
		wait = never // the next hold wakes the loop
	}
	k.used = false
	k.look = now.Add(wait)
	return wait
}

// compareClocks ends holds that lived through a suspension of the machine.
func (k *Keeper) compareClocks(now time.Time) {
	last := k.ticked.Load()
	wall, monotonic := k.elapsed(*last, now)
	if suspended(wall, monotonic, 0) {
		k.mu.Lock()
		holds := slices.Clone(k.holds.holds)
		k.mu.Unlock()
		for _, h := range holds {
			h.slept(now)
		}
	}
	if monotonic >= tickEvery/2 {
		k.ticked.Store(&now)
	}
}

// renew renews a batch in one call. It has its own share of calls to the engine, so waiting
// claims cannot starve it.
func (k *Keeper) renew(batch []*Hold) {
	items := make([]lease.Renewal, len(batch))
	for i, h := range batch {
		items[i] = lease.Renewal{Key: h.claim.Key, Attempt: h.claim.Attempt, TTL: h.claim.TTL}
	}
	sent := time.Now()
	answers, err := call(context.Background(), k, batchTimeout(k.opt.TTL, len(items)), renewals,
		func(ctx context.Context) ([]lease.Answer, error) { return k.backend.Renew(ctx, items), nil })
	if err == nil && len(answers) != len(items) {
		err = errMiscounted
	}
	for i, h := range batch {
		if err != nil {
			h.notRenewed(err)
		} else {
			h.renewed(sent, answers[i])
		}
	}
}

// notRenewed schedules the next try. Only the deadline ends a hold, not a failure.
func (h *Hold) notRenewed(err error) {
	now := time.Now()
	h.mu.Lock()
	left := h.end.Sub(now)
	due := h.nextRenewal(now, h.life/12)
	active := h.state == holding
	if active {
		h.failure = err
	}
	h.mu.Unlock()
	if active {
		h.keeper.schedule(h, due)
		h.keeper.opt.Events.Renewed(h, left, err)
	}
}

// renewed takes the answer to a renewal that was sent at sent.
func (h *Hold) renewed(sent time.Time, a lease.Answer) {
	if a.Err != nil {
		h.notRenewed(a.Err)
		return
	}
	k := h.keeper
	now := time.Now()
	h.mu.Lock()
	switch {
	case h.state != holding:
		h.mu.Unlock()
		return
	case a.Status == lease.Granted && a.Token == h.sequence:
	case sent.Before(h.since): // older than the grant: it speaks of the time before
		due := h.nextRenewal(now, h.life/12)
		h.mu.Unlock()
		k.schedule(h, due)
		return
	case !now.Before(h.end): // over before this answer; only the timer has not said so yet
		h.mu.Unlock()
		h.expire()
		return
	case a.Status == lease.Granted && a.Token < h.sequence:
		h.loseLocked(lease.BackendRegressed, "", nil)
		return
	default: // unknown, or granted anew: somebody else may have held it in between
		h.loseLocked(lease.BackendLost, "", nil)
		return
	}
	left := h.end.Sub(now)
	if end := deadline(sent, a.Left, k.margin(a.Left)); end.After(h.end) {
		h.base, h.life, h.end = sent, a.Left, end
		h.timer.Reset(end.Sub(now))
	}
	h.failure = nil
	due := h.nextRenewal(sent, a.Left/3)
	h.mu.Unlock()

	k.schedule(h, due)
	k.opt.Events.Renewed(h, left, nil)
	if a.Asked != nil {
		h.leave(*a.Asked)
	}
}

// nextRenewal returns from+in, or a time that never comes for a hold that is not renewed.
func (h *Hold) nextRenewal(from time.Time, in time.Duration) time.Time {
	if h.keeper.opt.NoRenew {
		in = never
	}
	return from.Add(in)
}
