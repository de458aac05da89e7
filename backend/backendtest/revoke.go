package backendtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/concord-go/concord/lease"
)

// revoke sends a revocation and compares whether the seat was found.
func (r *rig) revoke(promise string, v lease.Revocation, want bool) {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	found, err := r.be.Revoke(ctx, v)
	if err != nil {
		r.broken("Revoke is answered by a healthy engine", err, "no error")
	}
	same(r, promise, found, want)
}

func revokeForce(r *rig) {
	holder, next := r.claim("k"), r.claim("k")
	told := r.watch(holder)
	g := r.hold(holder)
	r.wait(next)
	pushed := r.pushed(next)
	reason := "maintenance \xff " + strings.Repeat("x", lease.MaxReason-14)
	v := lease.Revocation{Key: "k", Token: g.Token, Reason: reason, Force: true}
	r.revoke("Revoke finds the seat", v, true)
	won := r.becomes("a forced end grants to the next waiter", next)
	r.larger("the next holder has a larger token", won.Token, g.Token)
	r.learns("a holder that was forced out is unknown", holder)
	if pushed {
		e := r.next("a forced end is pushed to the holder", told, lease.EventRevoked)
		same(r, "EventRevoked speaks of the grant", e.Token, g.Token)
		same(r, "EventRevoked carries the reason", e.Ask.Reason, reason)
	}
	r.revoke("a seat that ended is not found", v, false)
	r.release(holder, lease.WasLapsed, lease.WasNothing)
	r.keeps("the next holder stays", next, won.Token)
}

func revokeAsk(r *rig) {
	holder, next := r.claim("k"), r.claim("k")
	told := r.watch(holder)
	g := r.hold(holder)
	r.wait(next)
	pushed := r.pushed(next)
	if a := r.keeps("a seat stays", holder, g.Token); a.Asked != nil {
		r.broken("nobody asked yet", fmt.Sprintf("%+v", *a.Asked), nil)
	}
	v := lease.Revocation{Key: "k", Token: g.Token, Reason: "please", Grace: 20 * time.Second}
	r.revoke("Revoke finds the seat", v, true)

	var a lease.Answer
	for give := r.deadline(); a.Asked == nil; r.pause() {
		a = r.keeps("a holder that was asked keeps its seat", holder, g.Token)
		if time.Now().After(give) {
			r.broken("a renewal tells the holder that it was asked", show(a), v.Reason)
		}
	}
	r.asked("a renewal", *a.Asked, v)
	if pushed {
		e := r.next("an ask is pushed to the holder", told, lease.EventAsked)
		same(r, "EventAsked speaks of the grant", e.Token, g.Token)
		r.asked("the event", e.Ask, v)
	}

	s := r.inspect("k")
	if len(s.Holders) != 1 || !s.Holders[0].Asked || s.Holders[0].Attempt != holder.Attempt {
		r.broken("Inspect shows a holder that was asked", fmt.Sprintf("%+v", s.Holders), "the holder, asked")
	}
	r.waits("an ask frees nothing", next)
	r.release(holder, lease.WasHeld)
	r.becomes("a release after an ask grants to the next waiter", next)
	if a := r.renew(renewal(next, false))[0]; a.Asked != nil {
		r.broken("an ask ends with its seat", fmt.Sprintf("%+v", *a.Asked), nil)
	}
}

// asked compares an ask with the revocation behind it.
func (r *rig) asked(where string, a lease.Ask, v lease.Revocation) {
	r.Helper()
	same(r, where+" carries the reason", a.Reason, v.Reason)
	if a.Grace <= 0 || a.Grace > v.Grace {
		r.broken(where+" carries the grace that is left", a.Grace, fmt.Sprintf("in (0, %v]", v.Grace))
	}
}

func revokeOld(r *rig) {
	first, second := r.claim("k"), r.claim("k")
	old := r.hold(first)
	r.revoke("nothing is found on an empty key", lease.Revocation{Key: "other", Token: old.Token, Force: true}, false)
	r.release(first, lease.WasHeld)
	g := r.hold(second)
	waiter := r.claim("k")
	r.wait(waiter)
	for _, token := range []uint64{old.Token, g.Token - 1, g.Token + 1} {
		for _, force := range []bool{true, false} {
			r.revoke("only the current token is found", lease.Revocation{Key: "k", Token: token, Force: force, Grace: time.Second}, false)
		}
	}
	if a := r.keeps("a revocation of another grant has no effect", second, g.Token); a.Asked != nil {
		r.broken("a revocation of another grant asks nobody", fmt.Sprintf("%+v", *a.Asked), nil)
	}
	r.waits("a revocation of another grant has no effect", waiter)
}
