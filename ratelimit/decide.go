package ratelimit

import "time"

// Decide is what an op does to the state of a key at an instant, in microseconds since 1970: the one
// meaning that all engines share. It changes the state, of [Policy.Words] words, and returns the
// decision. A state of nothing but zeros is that of a key without history.
//
// All limits are asked first. Only if none refuses the units are counted, and then by all of them; a
// shadow limit refuses nothing and counts what fits.
func (p *Policy) Decide(state []int64, now int64, op *Op) Decision {
	var d Decision
	p.decide(state, now, op, &d)
	return d
}

// decide is Decide into a decision that is zero: to copy one takes as long as to make it.
func (p *Policy) decide(state []int64, now int64, op *Op, d *Decision) {
	if op.Kind == OpReset {
		clear(state)
	}
	p.Migrate(state, now)
	if op.Kind == OpTake && p.simple {
		p.bucket(state[1:], now, op, d)
		return
	}
	var answers [MaxLimits]answer
	d.Allowed, d.Source = true, FromEngine
	for i := range p.rules {
		r, a := &p.rules[i], &answers[i]
		a.words = state[r.At : r.At+r.words()]
		r.roll(a.words, now)
		if op.Kind == OpTake || op.Kind == OpPeek {
			a.ask(r, now, op)
			d.Allowed = d.Allowed && (a.fits || r.Shadow)
		}
	}
	for i := range p.rules {
		answers[i].apply(&p.rules[i], now, op, d.Allowed)
	}
	p.describe(d, now, answers[:len(p.rules)])
}

// Rest returns how long it takes until nothing of a state counts any more, if nobody comes: what an
// engine may forget then. The state may be brought to the present by it.
func (p *Policy) Rest(state []int64, now int64) time.Duration {
	var most int64
	for i := range p.rules {
		r := &p.rules[i]
		w := state[r.At : r.At+r.words()]
		r.roll(w, now)
		most = max(most, r.rest(w, now))
	}
	return micros(most)
}

// answer is what one rule says.
type answer struct {
	words []int64
	retry int64 // until the op would fit; 0 if it fits now
	fits  bool  // it does, within what the caller would wait
}

func (a *answer) ask(r *Rule, now int64, op *Op) {
	if op.N > r.Most { // never fits; only a shadow limit may be so small
		a.retry = max(1, r.rest(a.words, now))
		return
	}
	a.retry = r.retry(a.words, now, op.N)
	a.fits = a.retry == 0 || r.Algorithm == TokenBucket && a.retry <= int64(op.MaxWait/time.Microsecond)
}

func (a *answer) apply(r *Rule, now int64, op *Op, allowed bool) {
	switch {
	case op.Kind == OpTake && allowed && a.fits, op.Kind == OpCharge:
		r.take(a.words, now, min(op.N, r.Most))
	case op.Kind == OpGive:
		r.give(a.words, now, min(op.N, r.Most))
	}
}

// describe fills in the limit that matters most: of a refusal the one that makes one wait longest, else
// the one with the least left, and among those without any the one that has a unit again last. Shadow
// limits matter least.
func (p *Policy) describe(d *Decision, now int64, answers []answer) {
	best := -1
	for i := range answers {
		a, r := &answers[i], &p.rules[i]
		if r.Shadow && !a.fits && a.retry > 0 && d.Shadow == "" {
			d.Shadow = p.limits[i].Name
		}
		if !r.Shadow && d.Allowed {
			d.Wait = max(d.Wait, micros(a.retry))
		}
		if best < 0 || p.prefers(d.Allowed, now, answers, i, best) {
			best = i
		}
	}
	a, r := &answers[best], &p.rules[best]
	d.Limit = p.limits[best].Name
	d.Remaining = r.left(a.words, now)
	d.ResetAfter = micros(r.rest(a.words, now))
	switch {
	case !d.Allowed:
		d.RetryAfter = micros(a.retry)
	case d.Remaining == 0:
		d.NextAfter = micros(r.retry(a.words, now, 1))
	}
}

// prefers reports whether limit i matters more than j.
func (p *Policy) prefers(allowed bool, now int64, answers []answer, i, j int) bool {
	if a, b := p.rules[i].Shadow, p.rules[j].Shadow; a != b {
		return b
	}
	if !allowed {
		return answers[i].retry > answers[j].retry
	}
	left := func(k int) int64 { return p.rules[k].left(answers[k].words, now) }
	if a, b := left(i), left(j); a != b || a > 0 {
		return a < b
	}
	next := func(k int) int64 { return p.rules[k].retry(answers[k].words, now, 1) }
	return next(i) > next(j)
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
