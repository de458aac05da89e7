package backendtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

const (
	long     = 30 * time.Second      // a TTL that cannot run out within a case
	callTime = 10 * time.Second      // deadline of one call
	pollStep = 10 * time.Millisecond // between two looks
)

// patience is how long to wait for something that must happen.
var patience = 20 * time.Second

// rig is what a case works with: one backend on an empty namespace. Its methods perform one verb
// each and end the test at once when the answer breaks a promise.
type rig struct {
	*testing.T
	be   lease.Backend
	caps lease.Capabilities
}

// grant is an answer together with the instant before its request was sent, from which its life counts.
type grant struct {
	lease.Answer
	sent time.Time
}

// end is the instant up to which the holder may believe in its grant. Engines count in whole
// milliseconds, and two clocks do not tick exactly alike.
func (g grant) end() time.Time {
	return g.sent.Add(g.Left - g.Left/1000 - 2*time.Millisecond)
}

// ctx returns a context for one call.
func (r *rig) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), callTime)
}

// life is the longest life a claim with this TTL may be given by the engine.
func (r *rig) life(ttl time.Duration) time.Duration {
	ttl = max(ttl, r.caps.MinTTL)
	if step := r.caps.TTLStep; step > 0 {
		ttl = (ttl + step - 1) / step * step
	}
	return ttl
}

// claim is a new wish to hold key alone, with a life that outlasts the case.
func (r *rig) claim(key string) lease.Claim {
	return lease.Claim{
		Key: key, Attempt: lease.NewAttempt(), TTL: r.life(long), Queue: true, Weight: 1, Limit: 1,
	}
}

// brief is a claim of "k" with the shortest life the engine can keep: one that is meant to lapse.
func (r *rig) brief() lease.Claim {
	c := r.claim("k")
	c.TTL, c.Alone = r.life(lease.MinTTL), true
	return c
}

// try is a claim that does not wait.
func (r *rig) try(key string) lease.Claim {
	c := r.claim(key)
	c.Queue = false
	return c
}

// broken ends the case.
func (r *rig) broken(promise string, got, want any) {
	r.Helper()
	r.Fatalf("broken promise: %s\n\tgot:  %v\n\twant: %v", promise, got, want)
}

// same compares two values.
func same[T comparable](r *rig, promise string, got, want T) {
	r.Helper()
	if got != want {
		r.broken(promise, got, want)
	}
}

// is compares the status of an answer.
func (r *rig) is(promise string, a lease.Answer, want lease.Status) {
	r.Helper()
	if a.Status != want {
		r.broken(promise, show(a), want)
	}
}

// show is an answer for people to read.
func show(a lease.Answer) string {
	var b strings.Builder
	b.WriteString(a.Status.String())
	switch {
	case a.Err != nil:
		return "error: " + a.Err.Error()
	case a.Status == lease.Granted:
		fmt.Fprintf(&b, " token=%d left=%v", a.Token, a.Left)
		if a.Asked != nil {
			fmt.Fprintf(&b, " asked=%+v", *a.Asked)
		}
	case a.Status == lease.Queued:
		fmt.Fprintf(&b, " rank=%d next=%v", a.Rank, a.Next)
	case a.Status == lease.Held:
		fmt.Fprintf(&b, " holder=%q left=%v", a.Holder.Owner, a.Holder.Left)
	case a.Status == lease.Conflict:
		fmt.Fprintf(&b, " limit=%d", a.Limit)
	}
	return b.String()
}

// tidy checks what holds for every answer: the fields of its status make sense and no others are set.
func (r *rig) tidy(a lease.Answer) {
	r.Helper()
	rest := a
	rest.Status = 0
	switch a.Status {
	case lease.Granted:
		if a.Token == 0 || a.Token > fence.MaxSequence {
			r.broken("a token is 1 to fence.MaxSequence", a.Token, "1..2^53-1")
		}
		if a.Left <= 0 {
			r.broken("a granted claim has life left", a.Left, "> 0")
		}
		rest.Token, rest.Left, rest.Asked = 0, 0, nil
	case lease.Queued:
		if a.Rank < 0 || a.Next < 0 {
			r.broken("rank and time to the next end are not negative", show(a), ">= 0")
		}
		rest.Rank, rest.Next, rest.Pushed = 0, 0, false
	case lease.Held:
		rest.Holder = lease.Party{}
	case lease.Conflict:
		rest.Limit = 0
	case lease.Unknown, lease.Full, lease.Gone:
	default:
		r.broken("a status is one of the seven", a.Status, "unknown .. gone")
	}
	if got, zero := fmt.Sprintf("%+v", rest), fmt.Sprintf("%+v", lease.Answer{}); got != zero {
		r.broken("only the fields of an answer's status are set ("+a.Status.String()+")", got, zero)
	}
}

// acquire sends a claim.
func (r *rig) acquire(c lease.Claim) grant {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	sent := time.Now()
	a, err := r.be.Acquire(ctx, c)
	if err != nil {
		r.broken("Acquire is answered by a healthy engine", err, "no error")
	}
	r.tidy(a)
	return grant{a, sent}
}

// hold acquires a claim that must be granted at once.
func (r *rig) hold(c lease.Claim) grant {
	r.Helper()
	g := r.acquire(c)
	r.is("a claim that fits is granted at once", g.Answer, lease.Granted)
	if g.Left > r.life(c.TTL) {
		r.broken("a grant lives no longer than its TTL", g.Left, r.life(c.TTL))
	}
	return g
}

// wait acquires a claim that must be queued.
func (r *rig) wait(c lease.Claim) grant {
	r.Helper()
	g := r.acquire(c)
	r.is("a claim that does not fit waits", g.Answer, lease.Queued)
	return g
}

// renewal is the item that renews a claim.
func renewal(c lease.Claim, waiting bool) lease.Renewal {
	return lease.Renewal{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: waiting}
}

// renew sends one batch.
func (r *rig) renew(items ...lease.Renewal) []lease.Answer {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	answers := r.be.Renew(ctx, items)
	if len(answers) != len(items) {
		r.broken("Renew gives one answer for each item", len(answers), len(items))
	}
	for _, a := range answers {
		if a.Err != nil {
			r.broken("Renew is answered by a healthy engine", a.Err, "no error")
		}
		r.tidy(a)
	}
	return answers
}

// keeps renews a claim that must still be seated under token.
func (r *rig) keeps(promise string, c lease.Claim, token uint64) lease.Answer {
	r.Helper()
	a := r.renew(renewal(c, false))[0]
	r.is(promise, a, lease.Granted)
	same(r, promise+": a renewal keeps the token", a.Token, token)
	return a
}

// waits renews a claim that must still be waiting.
func (r *rig) waits(promise string, c lease.Claim) lease.Answer {
	r.Helper()
	a := r.renew(renewal(c, true))[0]
	r.is(promise, a, lease.Queued)
	return a
}

// ended renews a claim, in either manner, that must be unknown.
func (r *rig) ended(promise string, c lease.Claim) {
	r.Helper()
	r.is(promise, r.renew(renewal(c, false))[0], lease.Unknown)
	r.is(promise, r.renew(renewal(c, true))[0], lease.Unknown)
}

// becomes renews a waiting claim until it is granted. Another status in between is a failure.
func (r *rig) becomes(promise string, c lease.Claim) grant {
	r.Helper()
	for give := r.deadline(); ; r.pause() {
		sent := time.Now()
		a := r.renew(renewal(c, true))[0]
		if a.Status == lease.Granted {
			return grant{a, sent}
		}
		if a.Status != lease.Queued || time.Now().After(give) {
			r.broken(promise, show(a), lease.Granted)
		}
	}
}

// learns renews a seated claim until it is unknown: an end from outside may take a moment to
// get to an engine's client.
func (r *rig) learns(promise string, c lease.Claim) {
	r.Helper()
	for give := r.deadline(); ; r.pause() {
		a := r.renew(renewal(c, false))[0]
		if a.Status == lease.Unknown {
			return
		}
		if a.Status != lease.Granted || time.Now().After(give) {
			r.broken(promise, show(a), lease.Unknown)
		}
	}
}

// release ends a claim and compares what it was.
func (r *rig) release(c lease.Claim, want ...lease.Released) {
	r.Helper()
	r.releaseAs(lease.Release{Key: c.Key, Attempt: c.Attempt}, want...)
}

// releaseAs is release with the choices of lease.Release.
func (r *rig) releaseAs(rel lease.Release, want ...lease.Released) {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	got, err := r.be.Release(ctx, rel)
	if err != nil {
		r.broken("Release is answered by a healthy engine", err, "no error")
	}
	for _, w := range want {
		if got == w {
			return
		}
	}
	r.broken("Release says what the claim was", found(got), found(want...))
}

// found names what a Release can find.
func found(list ...lease.Released) string {
	names := map[lease.Released]string{lease.WasNothing: "nothing", lease.WasWaiting: "waiting", lease.WasLapsed: "lapsed", lease.WasHeld: "held"}
	var out []string
	for _, w := range list {
		if names[w] == "" {
			names[w] = fmt.Sprintf("Released(%d)", w)
		}
		out = append(out, names[w])
	}
	return strings.Join(out, " or ")
}

// inspect reads a key.
func (r *rig) inspect(key string) lease.State {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	s, err := r.be.Inspect(ctx, key)
	if err != nil {
		r.broken("Inspect is answered by a healthy engine", err, "no error")
	}
	return s
}

// empty checks that nothing of any claim is left on key.
func (r *rig) empty(promise, key string) {
	r.Helper()
	if s := r.inspect(key); len(s.Holders)+len(s.Waiters)+s.Waiting != 0 || s.Limit != 0 {
		r.broken(promise, fmt.Sprintf("%+v", s), "no claim on the key")
	}
}

// lapse waits until the engine no longer lists a claim, seated or waiting. It only looks.
func (r *rig) lapse(c lease.Claim) {
	r.Helper()
	for give := r.deadline(); ; r.pause() {
		s := r.inspect(c.Key)
		if !lists(s.Holders, c) && !lists(s.Waiters, c) {
			return
		}
		if time.Now().After(give) {
			r.broken("a claim that nobody renews ends", fmt.Sprintf("%+v", s), "gone from the list")
		}
	}
}

// lists reports whether the claim is one of the parties.
func lists(parties []lease.Party, c lease.Claim) bool {
	for _, p := range parties {
		if p.Attempt == c.Attempt {
			return true
		}
	}
	return false
}

// deadline is when to give up waiting for something that must happen.
func (r *rig) deadline() time.Time {
	return time.Now().Add(patience + r.caps.ExpiryLate + 2*r.caps.MinTTL)
}

// pause lets a little time go by between two looks.
func (r *rig) pause() { time.Sleep(pollStep) }
