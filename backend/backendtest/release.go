package backendtest

import (
	"context"

	"github.com/concord-go/concord/lease"
)

func releaseFound(r *rig) {
	holder, waiter, stranger := r.claim("k"), r.claim("k"), r.claim("k")
	r.release(stranger, lease.WasNothing)
	r.hold(holder)
	r.wait(waiter)
	r.release(stranger, lease.WasNothing)
	r.release(waiter, lease.WasWaiting)
	r.release(waiter, lease.WasNothing)
	r.release(holder, lease.WasHeld)
	r.release(holder, lease.WasNothing)
	r.empty("nothing is left after the releases", "k")

	// An engine may have cleared a lapsed claim away; both answers tell that it was not valid.
	lapsed := r.brief()
	r.hold(lapsed)
	r.lapse(lapsed)
	r.release(lapsed, lease.WasLapsed, lease.WasNothing)
	r.release(lapsed, lease.WasNothing)
}

func releaseTwice(r *rig) {
	first, second, third := r.claim("k"), r.claim("k"), r.claim("k")
	r.hold(first)
	r.wait(second)
	r.wait(third)
	r.release(first, lease.WasHeld)
	g := r.becomes("a release grants to the next waiter", second)
	r.release(first, lease.WasNothing)
	r.releaseAs(lease.Release{Key: "k", Attempt: first.Attempt, Unclean: true, Uncertain: true}, lease.WasNothing)
	r.keeps("a Release sent again does not end the next holder's seat", second, g.Token)
	same(r, "nor change the queue", r.waits("a waiter waits", third).Rank, 0)
}

// releaseGone: a copy of an Acquire arrives after the Release. The first Acquire has a distant
// deadline, so that the engine must remember the end for as long as the copy may come.
func releaseGone(r *rig) {
	ctx, cancel := context.WithTimeout(r.Context(), long)
	defer cancel()
	holder, waiter := r.claim("k"), r.claim("k")
	for _, c := range []lease.Claim{holder, waiter} {
		if _, err := r.be.Acquire(ctx, c); err != nil {
			r.broken("Acquire is answered by a healthy engine", err, "no error")
		}
	}
	give := func(c lease.Claim, was lease.Released) {
		r.Helper()
		r.releaseAs(lease.Release{Key: "k", Attempt: c.Attempt, Uncertain: true}, was)
		for _, queue := range []bool{true, false} {
			c.Queue = queue
			r.is("an attempt that was released is never queued or granted again", r.acquire(c).Answer, lease.Gone)
		}
		r.ended("a late Acquire leaves nothing", c)
		r.release(c, lease.WasNothing)
	}
	give(waiter, lease.WasWaiting)
	give(holder, lease.WasHeld)
	r.empty("a late Acquire leaves nothing", "k")
	r.hold(r.try("k"))
}

func releaseTo(r *rig) {
	holder, first, second, third := r.claim("k"), r.claim("k"), r.claim("k"), r.claim("k")
	g := r.hold(holder)
	for _, c := range []lease.Claim{first, second, third} {
		r.wait(c)
	}
	to := lease.Release{Key: "k", Attempt: holder.Attempt, To: second.Attempt}
	r.releaseAs(to, lease.WasHeld)
	r.waits("nobody is granted but the chosen waiter", first)
	won := r.becomes("a release grants to the chosen waiter", second)
	r.larger("the chosen waiter has a larger token", won.Token, g.Token)
	same(r, "the others keep their order", r.waits("a waiter waits", first).Rank, 0)
	same(r, "the others keep their order", r.waits("a waiter waits", third).Rank, 1)
	r.releaseAs(to, lease.WasNothing)
	r.keeps("a transfer sent again has no effect", second, won.Token)
	r.release(second, lease.WasHeld)
	r.becomes("after a transfer the queue goes on in order", first)
}

func releaseToStranger(r *rig) {
	holder, first, second := r.claim("k"), r.claim("k"), r.claim("k")
	r.hold(holder)
	r.wait(first)
	r.wait(second)
	r.releaseAs(lease.Release{Key: "k", Attempt: holder.Attempt, To: lease.NewAttempt()}, lease.WasHeld)
	r.becomes("a release to an unknown attempt grants to the head", first)
	r.waits("and to nobody else", second)
	same(r, "a stranger is not created", r.inspect("k").Waiting, 1)

	alone := r.claim("other")
	r.hold(alone)
	r.releaseAs(lease.Release{Key: "other", Attempt: alone.Attempt, To: first.Attempt}, lease.WasHeld)
	r.empty("a waiter of another key is a stranger", "other")
}

func releaseToDead(r *rig) {
	holder, first, dead := r.claim("k"), r.claim("k"), r.brief()
	r.hold(holder)
	r.wait(first)
	r.wait(dead)
	r.lapse(dead)
	r.releaseAs(lease.Release{Key: "k", Attempt: holder.Attempt, To: dead.Attempt}, lease.WasHeld)
	r.becomes("a release to a dead waiter grants to the head", first)
	r.ended("a dead waiter is not revived by a transfer", dead)
}
