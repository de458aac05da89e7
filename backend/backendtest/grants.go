package backendtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/lease"
)

func grantEmpty(r *rig) {
	r.empty("a fresh namespace is empty", "k")
	r.hold(r.claim("k"))
	r.hold(r.try("other"))
}

func grantAgain(r *rig) {
	c := r.claim("k")
	c.Alone = true
	first := r.hold(c)
	c.TTL *= 2
	again := r.acquire(c)
	r.is("a seated claim is answered Granted", again.Answer, lease.Granted)
	same(r, "a second Acquire makes no new token", again.Token, first.Token)
	if again.Left > first.Left {
		r.broken("a second Acquire does not lengthen the life", again.Left, fmt.Sprint("at most ", first.Left))
	}
}

func grantCopies(r *rig) {
	c := r.claim("k")
	type reply struct {
		lease.Answer
		err error
	}
	replies := make(chan reply, 16)
	for range cap(replies) {
		go func() {
			ctx, cancel := r.ctx()
			defer cancel()
			a, err := r.be.Acquire(ctx, c)
			replies <- reply{a, err}
		}()
	}
	tokens := map[uint64]bool{}
	for range cap(replies) {
		p := <-replies
		if p.err != nil || p.Status != lease.Granted {
			r.Errorf("a copy of a granted Acquire: got %s, error %v, want granted", show(p.Answer), p.err)
		}
		tokens[p.Token] = true
	}
	same(r, "copies of one Acquire get one token", len(tokens), 1)
	same(r, "one seat per attempt", len(r.inspect("k").Holders), 1)
}

func grantHeld(r *rig) {
	c := r.claim("k")
	c.Owner, c.Meta = "host-7 \xff", []byte("build\x0042")
	first := r.hold(c)
	loser := r.try("k")
	a := r.acquire(loser)
	r.is("a claim that does not fit and must not wait", a.Answer, lease.Held)
	same(r, "Held names the holder's owner", a.Holder.Owner, c.Owner)
	same(r, "Held carries the holder's metadata", string(a.Holder.Meta), string(c.Meta))
	if a.Holder.Left <= 0 || a.Holder.Left > first.Left {
		r.broken("Held says how much life the holder has left", a.Holder.Left, fmt.Sprintf("in (0, %v]", first.Left))
	}
	if h := a.Holder; h.Attempt != "" && h.Attempt != c.Attempt || h.Token != 0 && h.Token != first.Token {
		r.broken("Held names nobody else", fmt.Sprintf("%+v", h), fmt.Sprintf("attempt %s, token %d", c.Attempt, first.Token))
	}
	r.ended("a claim answered Held left nothing", loser)
	r.release(loser, lease.WasNothing)
	r.keeps("the holder does not notice", c, first.Token)
}

func grantTokens(r *rig) {
	var last uint64
	for range 50 {
		c := r.claim("k")
		g := r.hold(c)
		r.larger("tokens of a key increase", g.Token, last)
		last = g.Token
		r.release(c, lease.WasHeld)
	}
}

// larger compares the tokens of two grants of one key.
func (r *rig) larger(promise string, token, before uint64) {
	r.Helper()
	if token <= before {
		r.broken(promise, token, fmt.Sprint("more than ", before))
	}
}

func grantLapsed(r *rig) {
	c := r.brief()
	first := r.hold(c)
	r.lapse(c)
	second := r.hold(c)
	r.larger("a lapsed attempt that is granted again gets a larger token", second.Token, first.Token)
	r.lapse(c)
	r.larger("the key's tokens go on after a lapse", r.hold(r.claim("k")).Token, second.Token)
}

func grantExpiry(r *rig) {
	c := r.brief()
	first := r.hold(c)
	for give := r.deadline(); ; r.pause() {
		other := r.acquire(r.try("k"))
		now := time.Now()
		if other.Status == lease.Granted {
			if now.Before(first.end()) {
				r.broken("a seat is not granted before the end of the one before", now.Sub(first.sent), fmt.Sprint("at least ", first.Left))
			}
			r.larger("the next holder has a larger token", other.Token, first.Token)
			break
		}
		r.is("a taken key is Held until it lapses", other.Answer, lease.Held)
		if now.After(give) {
			r.broken("a seat that nobody renews ends", show(other.Answer), lease.Granted)
		}
	}
	r.ended("a lapsed seat is unknown", c)
}

func grantLate(r *rig) {
	ctx, cancel := context.WithDeadline(r.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, c := range []lease.Claim{r.claim("k"), r.try("k")} {
		if a, err := r.be.Acquire(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
			r.broken("an Acquire past its deadline fails", fmt.Sprint(show(a), ", error ", err), context.DeadlineExceeded)
		}
	}
	r.empty("an Acquire past its deadline has no effect", "k")
}
