package backendtest

import (
	"fmt"
	"time"

	"github.com/concord-go/concord/lease"
)

// share is a claim for a part of a limit.
func (r *rig) share(key string, weight, limit int64) lease.Claim {
	c := r.claim(key)
	c.Weight, c.Limit = weight, limit
	return c
}

// held tries a claim that must not fit now.
func (r *rig) held(promise string, c lease.Claim) {
	r.Helper()
	c.Attempt, c.Queue = lease.NewAttempt(), false
	r.is(promise, r.acquire(c).Answer, lease.Held)
}

func limitsConflict(r *rig) {
	limits := []int64{1, 3, 0, lease.MaxWeight}
	for _, have := range limits {
		key := fmt.Sprint("k", have)
		holder := r.share(key, 1, have)
		g := r.hold(holder)
		for _, want := range limits {
			if want == have {
				continue
			}
			other := r.share(key, 1, want)
			a := r.acquire(other)
			r.is(fmt.Sprintf("a key in use with limit %d refuses limit %d", have, want), a.Answer, lease.Conflict)
			same(r, "Conflict tells the limit in force", a.Limit, have)
			r.ended("a claim answered Conflict left nothing", other)
		}
		r.keeps("the holder does not notice", holder, g.Token)
		r.release(holder, lease.WasHeld)
		next := r.share(key, 1, have+1)
		if have == lease.MaxWeight {
			next.Limit = 2
		}
		r.larger("a free key takes any limit, and its tokens go on", r.hold(next).Token, g.Token)
	}
}

func limitsSum(r *rig) {
	a, b, c := r.share("k", 1, 4), r.share("k", 2, 4), r.share("k", 1, 4)
	last := uint64(0)
	for _, x := range []lease.Claim{a, b, c} {
		g := r.hold(x)
		r.larger("later grants have larger tokens", g.Token, last)
		last = g.Token
	}
	r.held("the weights of all seats are at most the limit", r.share("k", 1, 4))
	r.release(c, lease.WasHeld)
	r.held("what does not fit is refused", r.share("k", 2, 4))
	r.hold(r.share("k", 1, 4))
	same(r, "each claim has its own seat", len(r.inspect("k").Holders), 3)
	r.release(a, lease.WasHeld)
	r.release(b, lease.WasHeld)
	r.hold(r.share("k", 3, 4))
}

func limitsHead(r *rig) {
	holder, heavy, light := r.share("k", 1, 3), r.share("k", 3, 3), r.share("k", 1, 3)
	r.hold(holder)
	r.wait(heavy)
	same(r, "a light claim waits behind a heavy one, though it would fit", r.wait(light).Rank, 1)
	r.held("nor does a claim that does not wait get by", r.share("k", 1, 3))
	r.waits("nobody overtakes the head", light)
	r.release(heavy, lease.WasWaiting)
	r.becomes("a head that gives up frees those behind it", light)
}

func limitsMany(r *rig) {
	holder := r.share("k", 3, 3)
	g := r.hold(holder)
	line := []lease.Claim{r.share("k", 1, 3), r.share("k", 1, 3), r.share("k", 1, 3), r.share("k", 1, 3)}
	for _, c := range line {
		r.wait(c)
	}
	r.release(holder, lease.WasHeld)
	last := g.Token
	for _, c := range line[:3] {
		won := r.becomes("a release grants to all who fit", c)
		r.larger("tokens follow the order of the queue", won.Token, last)
		last = won.Token
	}
	r.waits("and to nobody else", line[3])
	r.release(line[1], lease.WasHeld)
	r.becomes("a freed share goes to the next", line[3])
}

func limitsReadWrite(r *rig) {
	const all = lease.MaxWeight
	r1, r2, w, late := r.share("k", 1, all), r.share("k", 1, all), r.share("k", all, all), r.share("k", 1, all)
	r.hold(r1)
	r.hold(r2)
	r.wait(w)
	r.wait(late)
	r.release(r1, lease.WasHeld)
	r.waits("a writer waits for the last reader", w)
	r.release(r2, lease.WasHeld)
	g := r.becomes("a writer is granted when all readers have left", w)
	r.waits("a reader that came after the writer waits for it", late)
	r.held("a writer is alone", r.share("k", 1, all))

	down := renewal(w, false)
	down.Weight = 1
	a := r.renew(down)[0]
	r.is("a writer that becomes a reader keeps its seat", a, lease.Granted)
	same(r, "and its token", a.Token, g.Token)
	r.becomes("a lower weight lets the next reader in", late)
	up := renewal(w, false)
	up.Weight = all
	r.renew(up)
	for _, h := range r.inspect("k").Holders {
		same(r, "a renewal never raises a weight", h.Weight, 1)
	}
}

func limitsResize(r *rig) {
	sized := func(limit, epoch int64) lease.Claim {
		c := r.share("k", 1, limit)
		c.LimitEpoch = epoch
		return c
	}
	a, b := sized(2, 1), sized(2, 1)
	ga, gb := r.hold(a), r.hold(b)

	shrunk := sized(1, 2)
	r.wait(shrunk)
	s := r.inspect("k")
	same(r, "a higher epoch sets the limit", s.Limit, 1)
	same(r, "a shrink evicts nobody", len(s.Holders), 2)
	r.keeps("a shrink evicts nobody", a, ga.Token)
	r.keeps("a shrink evicts nobody", b, gb.Token)
	r.is("an older epoch with another limit conflicts", r.acquire(sized(2, 1)).Answer, lease.Conflict)
	r.release(a, lease.WasHeld)
	r.waits("no grant until it fits the smaller limit", shrunk)
	r.release(b, lease.WasHeld)
	r.becomes("a grant when it fits", shrunk)

	second, third := sized(1, 2), sized(3, 3)
	r.wait(second)
	if x := r.acquire(third); x.Status != lease.Granted {
		r.is("a claim that raises the limit", x.Answer, lease.Queued)
	}
	g2 := r.becomes("a larger limit lets waiters in", second)
	g3 := r.becomes("a larger limit lets waiters in", third)
	r.larger("in the order of the queue", g3.Token, g2.Token)
	same(r, "a higher epoch sets the limit", r.inspect("k").Limit, 3)
}

func limitsShrink(r *rig) {
	sized := func(weight, limit, epoch int64) lease.Claim {
		c := r.share("k", weight, limit)
		c.LimitEpoch = epoch
		return c
	}
	holder, heavy, small := sized(1, 3, 1), sized(3, 3, 1), sized(1, 2, 2)
	g := r.hold(holder)
	r.wait(heavy)
	if a := r.acquire(small); a.Status != lease.Granted {
		r.is("a claim behind one that is too heavy", a.Answer, lease.Queued)
	}
	r.becomes("a waiter heavier than the limit is no longer in the way", small)
	r.ended("it has lost its place", heavy)
	a := r.acquire(heavy)
	r.is("and is told the limit when it asks again", a.Answer, lease.Conflict)
	same(r, "and is told the limit when it asks again", a.Limit, 2)
	again := r.acquire(holder)
	r.is("a holder that asks again is answered whatever became of the limit", again.Answer, lease.Granted)
	same(r, "with its token", again.Token, g.Token)
}

func limitsNone(r *rig) {
	var last uint64
	for range 50 {
		g := r.hold(r.share("k", 1, 0))
		r.larger("each member has a larger token", g.Token, last)
		last = g.Token
	}
	r.hold(r.share("k", lease.MaxWeight, 0))
	s := r.inspect("k")
	same(r, "limit 0 seats everybody", len(s.Holders), 51)
	same(r, "and nobody waits", s.Waiting, 0)
}

func limitsLapse(r *rig) {
	stay, leave, next := r.share("k", 1, 2), r.brief(), r.share("k", 1, 2)
	leave.Limit = 2
	g := r.hold(stay)
	gone := r.hold(leave)
	if a := r.acquire(next); a.Status != lease.Granted {
		r.is("a claim that does not fit", a.Answer, lease.Queued)
	}
	won := r.becomes("the share of an expired holder goes to the next", next)
	if now := time.Now(); now.Before(gone.end()) {
		r.broken("a share is not granted before the end of the one before", now.Sub(gone.sent), fmt.Sprint("at least ", gone.Left))
	}
	r.larger("a later grant has a larger token", won.Token, gone.Token)
	r.ended("an expired holder is unknown", leave)
	r.keeps("the other holder stays", stay, g.Token)
	r.held("the limit is used up", r.share("k", 1, 2))
}

func priorityOrder(r *rig) {
	holder := r.claim("k")
	r.hold(holder)
	wish := func(priority int) lease.Claim {
		c := r.claim("k")
		c.Priority = priority
		r.wait(c)
		return c
	}
	low, high, mid, high2, least := wish(0), wish(7), wish(3), wish(7), wish(lease.MinPriority)
	line := []lease.Claim{high, high2, mid, low, least}
	for i, p := range r.inspect("k").Waiters {
		same(r, "waiters stand by priority, then by age", p.Attempt, line[i].Attempt)
		same(r, "a party has its priority", p.Priority, line[i].Priority)
	}
	for i, c := range line {
		same(r, "rank counts those of higher priority", r.waits("a higher priority evicts nobody", c).Rank, i)
	}
	before := holder
	for i, c := range line {
		r.release(before, lease.WasHeld)
		r.becomes("the highest priority goes first, then the oldest", c)
		for _, behind := range line[i+1:] {
			r.waits("the others wait", behind)
		}
		before = c
	}
}
