package backendtest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/lease"
)

func inspectLists(r *rig) {
	line := []lease.Claim{r.claim("k"), r.claim("k"), r.claim("k")}
	var g grant
	for i := range line {
		line[i].Owner, line[i].Meta = fmt.Sprint("owner ", i), []byte{0, 0xff, byte(i)}
		if i == 0 {
			g = r.hold(line[i])
		} else {
			r.wait(line[i])
		}
	}
	s := r.inspect("k")
	same(r, "Inspect tells the limit", s.Limit, 1)
	same(r, "Inspect lists the holder", len(s.Holders), 1)
	same(r, "Inspect lists the waiters", len(s.Waiters), 2)
	same(r, "Inspect counts the queue", s.Waiting, 2)
	for i, p := range append(s.Holders, s.Waiters...) {
		c, token := line[i], uint64(0)
		if i == 0 {
			token = g.Token
		}
		same(r, "claims stand in queue order", p.Attempt, c.Attempt)
		same(r, "a party has its owner", p.Owner, c.Owner)
		same(r, "a party has its metadata", string(p.Meta), string(c.Meta))
		same(r, "a holder has its token, a waiter none", p.Token, token)
		same(r, "a party has its weight", p.Weight, 1)
		same(r, "a party has its priority", p.Priority, 0)
		same(r, "nobody was asked", p.Asked, false)
		if p.Left <= 0 || p.Left > r.life(c.TTL) {
			r.broken("a party has life left", p.Left, fmt.Sprintf("in (0, %v]", r.life(c.TTL)))
		}
	}
	r.release(line[1], lease.WasWaiting)
	r.release(line[2], lease.WasWaiting)
	r.release(line[0], lease.WasHeld)
	r.empty("nothing is listed after the end", "k")
}

func inspectChanges(r *rig) {
	holder, waiter := r.claim("k"), r.claim("k")
	holder.Alone, waiter.Alone = true, true
	g := r.hold(holder)
	r.wait(waiter)
	before := r.inspect("k")
	for range 10 {
		r.pause()
		s := r.inspect("k")
		if len(s.Holders) != 1 || len(s.Waiters) != 1 {
			r.broken("Inspect changes nothing", fmt.Sprintf("%+v", s), "one holder and one waiter")
		}
		if s.Holders[0].Left > before.Holders[0].Left || s.Waiters[0].Left > before.Waiters[0].Left {
			r.broken("Inspect gives no new life", fmt.Sprintf("%+v", s), fmt.Sprintf("at most %+v", before))
		}
		before = s
	}
	r.keeps("Inspect changes nothing", holder, g.Token)
	r.empty("Inspect of an unused key creates nothing", "unused")
	r.hold(r.try("unused"))
}

// watchStop stops a watch while its event is on the way, many times over.
func watchStop(r *rig) {
	var late atomic.Int64
	for i := range 200 {
		key := fmt.Sprint("k", i%4)
		holder, waiter := r.claim(key), r.claim(key)
		var stopped atomic.Bool
		stop := r.be.Watch(key, waiter.Attempt, func(lease.Event) {
			if stopped.Load() {
				late.Add(1)
			}
			time.Sleep(time.Duration(i%3) * 50 * time.Microsecond) // make "still running" likely
			if stopped.Load() {
				late.Add(1)
			}
		})
		r.hold(holder)
		r.wait(waiter)
		released := make(chan struct{})
		go func() {
			defer close(released)
			ctx, cancel := r.ctx()
			defer cancel()
			_, _ = r.be.Release(ctx, lease.Release{Key: key, Attempt: holder.Attempt})
		}()
		time.Sleep(time.Duration(i%8) * 20 * time.Microsecond)
		stop()
		stopped.Store(true)
		<-released
		r.becomes("a waiter is granted, watched or not", waiter)
		r.release(waiter, lease.WasHeld)
	}
	time.Sleep(20 * pollStep)
	same(r, "no notify runs or starts after stop has returned", late.Load(), 0)
}
