package backendtest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

// all makes the claims of one AcquireAll.
func (r *rig) all(keys []string) []lease.Claim {
	claims := make([]lease.Claim, len(keys))
	for i, key := range keys {
		claims[i] = r.claim(key)
	}
	return claims
}

// acquireAll sends the claims.
func (r *rig) acquireAll(claims []lease.Claim) []lease.Answer {
	r.Helper()
	ctx, cancel := r.ctx()
	defer cancel()
	answers, err := r.be.AcquireAll(ctx, claims)
	if err != nil {
		r.broken("AcquireAll is answered by a healthy engine", err, "no error")
	}
	same(r, "AcquireAll gives one answer for each claim", len(answers), len(claims))
	for _, a := range answers {
		r.tidy(a)
	}
	return answers
}

// becomeAll repeats AcquireAll until all claims are granted.
func (r *rig) becomeAll(promise string, claims []lease.Claim) []lease.Answer {
	r.Helper()
	for give := r.deadline(); ; r.pause() {
		answers := r.acquireAll(claims)
		if !slices.ContainsFunc(answers, func(a lease.Answer) bool { return a.Status != lease.Granted }) {
			return answers
		}
		if time.Now().After(give) {
			r.broken(promise, statuses(answers), "all granted")
		}
	}
}

func statuses(answers []lease.Answer) []string {
	var list []string
	for _, a := range answers {
		list = append(list, a.Status.String())
	}
	return list
}

var multiKeys = []string{"k1", "k2", "{x}k3", "k4", "{x}k5", "k6", "k7"}

func multiAll(r *rig) {
	claims := r.all(multiKeys)
	first := r.acquireAll(claims)
	second := r.acquireAll(claims)
	for i, c := range claims {
		r.is("AcquireAll seats all claims that fit", first[i], lease.Granted)
		r.is("a copy of it is answered alike", second[i], lease.Granted)
		same(r, "a copy of it makes no new token", second[i].Token, first[i].Token)
		r.keeps("each answer stands where its claim stands", c, first[i].Token)
		r.held("each key is taken", r.claim(c.Key))
	}
	for _, c := range claims {
		r.release(c, lease.WasHeld)
		r.empty("each key is released by itself", c.Key)
	}
}

func multiNone(r *rig) {
	for _, taken := range multiKeys {
		holder := r.claim(taken)
		r.hold(holder)
		claims := r.all(multiKeys)
		for i := range claims {
			claims[i].Queue = false
		}
		held := 0
		for i, a := range r.acquireAll(claims) {
			switch a.Status {
			case lease.Held:
				held++
				same(r, "Held stands where its claim stands", claims[i].Key, taken)
			case lease.Unknown:
			default:
				r.is("without Queue AcquireAll seats all or none", a, lease.Unknown)
			}
			if claims[i].Key != taken {
				r.empty("without Queue AcquireAll seats all or none", claims[i].Key)
			}
		}
		same(r, "AcquireAll tells which key is taken", held, 1)
		r.release(holder, lease.WasHeld)
	}
}

// multiOrder blocks one key and looks where AcquireAll stops, whatever the order of its slice.
func multiOrder(r *rig) {
	var stop []string
	for round := range 2 {
		keys := slices.Clone(multiKeys)
		if round == 1 {
			slices.Reverse(keys)
		}
		holder := r.claim("k4")
		r.hold(holder)
		claims := r.all(keys)
		var seated []string
		tokens := map[string]uint64{}
		for i, a := range r.acquireAll(claims) {
			switch {
			case keys[i] == "k4":
				r.is("AcquireAll waits at the first claim that does not fit", a, lease.Queued)
			case a.Status == lease.Granted:
				seated = append(seated, keys[i])
				tokens[keys[i]] = a.Token
			default:
				r.is("a claim that was not reached is Unknown", a, lease.Unknown)
				r.empty("a claim that was not reached left nothing", keys[i])
			}
		}
		slices.Sort(seated)
		if round == 0 {
			stop = seated
		} else if !slices.Equal(stop, seated) {
			r.broken("AcquireAll goes through the keys in one global order", seated, stop)
		}
		r.release(holder, lease.WasHeld)
		for i, a := range r.becomeAll("AcquireAll called again goes on", claims) {
			if before := tokens[keys[i]]; before != 0 {
				same(r, "a seat that AcquireAll had already is kept", a.Token, before)
			}
			r.release(claims[i], lease.WasHeld)
		}
	}
}

// multiOpposite: two parties want the same keys and name them in opposite order.
func multiOpposite(r *rig) {
	const rounds = 15
	var mu sync.Mutex
	inside := 0
	var wrong []string
	var both sync.WaitGroup
	for side := range 2 {
		keys := slices.Clone(multiKeys[:4])
		if side == 1 {
			slices.Reverse(keys)
		}
		both.Go(func() {
			note := func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, fmt.Sprintf(format, args...))
			}
			for range rounds {
				claims := r.all(keys)
				granted := false
				for give := r.deadline(); !granted && time.Now().Before(give); {
					ctx, cancel := r.ctx()
					answers, err := r.be.AcquireAll(ctx, claims)
					cancel()
					if err != nil {
						note("AcquireAll: %v", err)
						return
					}
					granted = !slices.ContainsFunc(answers, func(a lease.Answer) bool { return a.Status != lease.Granted })
					if !granted {
						time.Sleep(time.Millisecond)
					}
				}
				if !granted {
					note("side %d was not granted: deadlock", side)
				}
				mu.Lock()
				if inside++; inside > 1 && granted {
					wrong = append(wrong, "both sides hold all keys")
				}
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				for _, c := range claims {
					ctx, cancel := r.ctx()
					if _, err := r.be.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt}); err != nil {
						note("Release: %v", err)
					}
					cancel()
				}
				if !granted {
					return
				}
			}
		})
	}
	both.Wait()
	if len(wrong) > 0 {
		r.broken("two AcquireAll in opposite order take turns", wrong, "no deadlock and no overlap")
	}
}

func multiGiveUp(r *rig) {
	holder := r.claim("k4")
	g := r.hold(holder)
	claims := r.all(multiKeys)
	r.acquireAll(claims)
	for _, c := range claims {
		ctx, cancel := r.ctx()
		_, err := r.be.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true})
		cancel()
		if err != nil {
			r.broken("Release is answered by a healthy engine", err, "no error")
		}
	}
	for i, a := range r.acquireAll(claims) {
		if a.Status != lease.Gone && a.Status != lease.Unknown {
			r.broken("an attempt that was given up is never granted again ("+claims[i].Key+")", show(a), lease.Gone)
		}
	}
	for _, c := range claims {
		if c.Key == holder.Key {
			same(r, "a late AcquireAll queues nobody", r.inspect(c.Key).Waiting, 0)
		} else {
			r.empty("a late AcquireAll leaves nothing", c.Key)
		}
	}
	r.keeps("the other holder does not notice", holder, g.Token)
}

func multiBad(r *rig) {
	ctx, cancel := r.ctx()
	defer cancel()
	claims := r.all(multiKeys)
	claims[len(claims)-1].TTL = 0
	_, err := r.be.AcquireAll(ctx, claims)
	r.invalid("AcquireAll", err, "TTL")
	keys := make([]string, lease.MaxKeys+1)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	if _, err := r.be.AcquireAll(ctx, r.all(keys)); err == nil {
		r.broken("AcquireAll takes at most lease.MaxKeys claims", "no error", lease.ErrInvalid)
	}
	for _, key := range append(keys, multiKeys...) {
		r.empty("a call out of bounds leaves nothing", key)
	}
}
