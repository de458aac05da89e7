package backendtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

func queueRanks(r *rig) {
	holder := r.claim("k")
	g := r.hold(holder)
	waiters := []lease.Claim{r.claim("k"), r.claim("k"), r.claim("k")}
	for i, c := range waiters {
		a := r.wait(c)
		same(r, "rank is the number of waiting claims ahead", a.Rank, i)
		if a.Next > g.Left {
			r.broken("Next is no later than the end of the only seat", a.Next, fmt.Sprint("at most ", g.Left))
		}
	}
	for i, c := range waiters {
		same(r, "a second Acquire of a waiter keeps its place", r.wait(c).Rank, i)
		same(r, "a renewal keeps its place", r.waits("a waiter waits", c).Rank, i)
	}
	r.release(waiters[0], lease.WasWaiting)
	same(r, "those behind move up", r.waits("a waiter waits", waiters[2]).Rank, 1)
}

func queueOrder(r *rig) {
	line := []lease.Claim{r.claim("k"), r.claim("k"), r.claim("k"), r.claim("k")}
	last := r.hold(line[0]).Token
	for _, c := range line[1:] {
		r.wait(c)
	}
	for i := range line[1:] {
		r.release(line[i], lease.WasHeld)
		for _, behind := range line[i+2:] {
			r.waits("nobody overtakes the head of the queue", behind)
		}
		g := r.becomes("a release grants to the head of the queue", line[i+1])
		r.larger("the next holder has a larger token", g.Token, last)
		last = g.Token
	}
	r.release(line[3], lease.WasHeld)
	r.empty("nothing is left after the last release", "k")
}

// watcher collects the events of one attempt.
type watcher struct {
	claim  lease.Claim
	events chan seen
}

// seen is an event and when it came.
type seen struct {
	lease.Event
	at time.Time
}

// watch begins to listen; it must come before the first Acquire.
func (r *rig) watch(c lease.Claim) *watcher {
	w := &watcher{c, make(chan seen, 1024)}
	stop := r.be.Watch(c.Key, c.Attempt, func(e lease.Event) {
		select {
		case w.events <- seen{e, time.Now()}:
		default:
		}
	})
	r.Cleanup(stop)
	return w
}

// next waits for an event of the kind.
func (r *rig) next(promise string, w *watcher, kind lease.EventKind) seen {
	r.Helper()
	give := time.After(patience)
	for {
		select {
		case e := <-w.events:
			if e.Kind == kind {
				return e
			}
		case <-give:
			r.broken(promise, "no such event", fmt.Sprint("an event of kind ", kind))
		}
	}
}

// pushed renews a waiting claim until the engine says that events get through, and reports
// whether it ever does. Without that word an engine promises no events on the key.
func (r *rig) pushed(c lease.Claim) bool {
	r.Helper()
	for give := time.Now().Add(patience); !r.waits("a waiter waits", c).Pushed; r.pause() {
		if time.Now().After(give) {
			r.Log("the engine never says Pushed: events are not checked")
			return false
		}
	}
	return true
}

func queuePush(r *rig) {
	holder, first, second := r.claim("k"), r.claim("k"), r.claim("k")
	first.Window, second.Window = r.life(long)/3, r.life(long)/3
	won := r.watch(first)
	idle := r.watch(second)
	g := r.hold(holder)
	r.wait(first)
	r.wait(second)
	if !r.pushed(first) {
		r.SkipNow()
	}
	for r.caps.Confirm && len(won.events) > 0 { // checks of the time before
		<-won.events
	}
	r.release(holder, lease.WasHeld)

	if r.caps.Confirm {
		r.next("a release makes the next waiter ask", won, lease.EventCheck)
		a := r.renew(renewal(first, true))[0]
		r.is("a pushed grant is real", a, lease.Granted)
		r.larger("a pushed grant has a larger token", a.Token, g.Token)
		return
	}
	e := r.next("a release pushes the grant to the next waiter", won, lease.EventGranted)
	r.larger("a pushed grant has a larger token", e.Token, g.Token)
	life := r.life(first.TTL)
	if r.caps.Window {
		life = r.life(first.Window)
	}
	if left := e.Until.Sub(e.at); left <= 0 || left > life+50*time.Millisecond {
		r.broken("Until is in the future and inside the first life of a pushed grant", left, fmt.Sprintf("in (0, %v]", life))
	}
	r.keeps("a pushed grant is real", first, e.Token)
	r.waits("only the head is granted", second)
	for len(idle.events) > 0 {
		if e := <-idle.events; e.Kind == lease.EventGranted {
			r.broken("events are for their own attempt", fmt.Sprintf("granted %d", e.Token), "no grant")
		}
	}
}

func queueWindow(r *rig) {
	holder, next := r.claim("k"), r.claim("k")
	next.Window = r.life(long) / 3
	r.hold(holder)
	r.wait(next)
	r.release(holder, lease.WasHeld)

	for give := r.deadline(); ; r.pause() {
		if s := r.inspect("k"); lists(s.Holders, next) {
			if left := s.Holders[0].Left; left <= 0 || left > r.life(next.Window) {
				r.broken("a grant to an owner that was not asking lives for the window", left, fmt.Sprintf("in (0, %v]", r.life(next.Window)))
			}
			break
		}
		if time.Now().After(give) {
			r.broken("a release grants to the next waiter", "no holder", next.Attempt)
		}
	}
	a := r.renew(renewal(next, false))[0]
	r.is("the first renewal finds the seat", a, lease.Granted)
	if a.Left <= r.life(next.Window) {
		r.broken("the first renewal widens the window to the TTL", a.Left, next.TTL)
	}
}

func queueTakeover(r *rig) {
	holder, next := r.brief(), r.claim("k")
	g := r.hold(holder)
	for r.acquire(next).Status == lease.Granted { // too slow: it lapsed already
		r.release(next, lease.WasHeld)
		holder.TTL *= 2
		holder.Attempt, next.Attempt = lease.NewAttempt(), lease.NewAttempt()
		g = r.hold(holder)
	}
	won := r.becomes("a waiter's renewal takes over from an expired holder", next)
	if now := time.Now(); now.Before(g.end()) {
		r.broken("a seat is not granted before the end of the one before", now.Sub(g.sent), fmt.Sprint("at least ", g.Left))
	}
	r.larger("the next holder has a larger token", won.Token, g.Token)
	r.ended("an expired holder is unknown", holder)
	r.keeps("the new holder stays", next, won.Token)
}

func queueDead(r *rig) {
	holder, dead, next := r.claim("k"), r.brief(), r.claim("k")
	r.hold(holder)
	r.wait(dead)
	r.wait(next)
	r.lapse(dead)
	r.release(holder, lease.WasHeld)
	r.becomes("a waiter that was not heard of for its TTL is skipped", next)
	r.ended("a skipped waiter is unknown", dead)
}

// queueLast: the holder and all waiters but the last die. The renewal of the last one is enough.
func queueLast(r *rig) {
	holder, last := r.brief(), r.claim("k")
	r.acquire(holder)
	var dead []lease.Claim
	for range 40 {
		c := r.brief()
		c.Window = c.TTL
		r.acquire(c)
		dead = append(dead, c)
	}
	if a := r.acquire(last); a.Status == lease.Queued {
		r.becomes("the renewal of one live waiter skips all dead ones", last)
	}
	for _, c := range append(dead, holder) {
		r.ended("a dead claim is unknown", c)
	}
}

func queueGaveUp(r *rig) {
	holder, quitter, next := r.claim("k"), r.claim("k"), r.claim("k")
	r.hold(holder)
	r.wait(quitter)
	r.wait(next)
	r.release(quitter, lease.WasWaiting)
	same(r, "a waiter that gave up loses its place", r.waits("a waiter waits", next).Rank, 0)
	r.ended("a claim that was given up is unknown", quitter)
	r.release(holder, lease.WasHeld)
	r.becomes("the next one is granted", next)
}

func queueAlive(r *rig) {
	holder, c := r.claim("k"), r.claim("k")
	r.hold(holder)
	r.wait(c)
	if c.TTL *= 2; r.waits("a waiter waits", c).Status == lease.Queued {
		if w := r.inspect("k").Waiters; len(w) != 1 || w[0].Left <= c.TTL/2 {
			r.broken("a renewal gives a waiting claim a new life", fmt.Sprintf("%+v", w), fmt.Sprint("left more than ", c.TTL/2))
		}
	}
}

func queueFull(r *rig) {
	if testing.Short() {
		r.Skip("fills a queue: not with -short")
	}
	claim := func() lease.Claim { // which lives until the queue is full
		c := r.claim("k")
		c.TTL = r.life(10 * time.Minute)
		return c
	}
	r.hold(claim())
	first := claim()
	start := time.Now()
	r.wait(first)
	for range 63 {
		r.wait(claim())
	}
	if took := time.Since(start); took*lease.MaxQueue/64 > 8*long/10 {
		r.Skipf("the engine takes too long to fill a queue (64 claims: %v)", took)
	}

	var all sync.WaitGroup
	var mu sync.Mutex
	var odd []string
	for range 8 {
		all.Go(func() {
			for range (lease.MaxQueue - 64) / 8 {
				ctx, cancel := r.ctx()
				a, err := r.be.Acquire(ctx, claim())
				cancel()
				if err != nil || a.Status != lease.Queued {
					mu.Lock()
					odd = append(odd, fmt.Sprint(show(a), ", error ", err))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if len(odd) > 0 {
		slices.Sort(odd)
		r.broken("a queue holds lease.MaxQueue claims", fmt.Sprint(len(odd), " refused, such as ", odd[0]), "all queued")
	}
	extra := claim()
	r.is("a full queue refuses", r.acquire(extra).Answer, lease.Full)
	r.ended("a claim answered Full left nothing", extra)
	r.is("a full queue still knows its own", r.acquire(first).Answer, lease.Queued)
	r.release(first, lease.WasWaiting)
	r.is("a place that was given up is free", r.acquire(extra).Answer, lease.Queued)
}
