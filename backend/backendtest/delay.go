package backendtest

import (
	"fmt"
	"time"

	"github.com/concord-go/concord/lease"
)

// delayed is a claim that blocks others for a while after an unclean end.
func (r *rig) delayed(c lease.Claim, delay time.Duration) lease.Claim {
	c.Delay = delay
	return c
}

func delayClean(r *rig) {
	c := r.delayed(r.claim("k"), lease.MaxDelay)
	r.hold(c)
	r.release(c, lease.WasHeld)
	r.hold(r.try("k"))
}

func delayUnclean(r *rig) {
	c := r.delayed(r.claim("k"), lease.MaxDelay)
	r.hold(c)
	r.releaseAs(lease.Release{Key: "k", Attempt: c.Attempt, Unclean: true}, lease.WasHeld)
	r.held("after an unclean release the seat blocks others", r.claim("k"))
	r.ended("its validity is over", c)
	same(r, "Inspect lists valid seats only", len(r.inspect("k").Holders), 0)
	r.release(c, lease.WasLapsed, lease.WasNothing)
	r.held("a second release does not cut the delay short", r.claim("k"))
}

func delayLapse(r *rig) {
	c := r.delayed(r.brief(), lease.MaxDelay)
	r.hold(c)
	r.lapse(c)
	r.held("after a lapse the seat blocks others", r.claim("k"))
	r.ended("a renewal under delay does not bring validity back", c)
	c.Queue = false
	r.is("nor does an Acquire", r.acquire(c).Answer, lease.Held)
	r.release(c, lease.WasLapsed, lease.WasNothing)
	r.held("a late release does not cut the delay short", r.claim("k"))
	waiter := r.claim("k")
	r.wait(waiter)
	r.waits("a waiter waits for the end of the delay", waiter)
}

func delayRevoked(r *rig) {
	c := r.delayed(r.claim("k"), lease.MaxDelay)
	g := r.hold(c)
	r.revoke("Revoke finds the seat", lease.Revocation{Key: "k", Token: g.Token, Force: true}, true)
	r.held("a forced end is unclean: the seat blocks others", r.claim("k"))
	r.learns("its validity is over", c)
}

func delayEnds(r *rig) {
	const delay = 300 * time.Millisecond
	c, waiter := r.delayed(r.claim("k"), delay), r.claim("k")
	r.hold(c)
	r.wait(waiter)
	sent := time.Now()
	r.releaseAs(lease.Release{Key: "k", Attempt: c.Attempt, Unclean: true}, lease.WasHeld)
	r.notBefore("an unclean release blocks for the delay", waiter, sent.Add(delay))
	r.release(waiter, lease.WasHeld)

	c, waiter = r.delayed(r.brief(), delay), r.claim("k")
	g := r.hold(c)
	r.wait(waiter)
	r.notBefore("a lapse blocks for the delay", waiter, g.end().Add(delay))
}

// notBefore waits for the grant of a waiting claim, which must not be known earlier than at.
func (r *rig) notBefore(promise string, c lease.Claim, at time.Time) {
	r.Helper()
	r.becomes("the delay ends", c)
	if now := time.Now(); now.Before(at.Add(-2 * time.Millisecond)) {
		r.broken(promise, fmt.Sprintf("granted %v too early", at.Sub(now)), "after the delay")
	}
}
