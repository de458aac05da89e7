package ratelimit

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxHot     = 1 << 16 // keys that are known at a time; for others the engine is asked
	firstBlock = 16      // of a key, where an engine is too slow to be asked for each call
)

// hot answers for keys of which something is known without asking: units that were taken ahead, or a
// refusal that holds still.
type hot struct {
	limiter *Limiter
	policy  *Policy
	opt     Allowance
	slack   int64
	first   int64 // size of the first block of a key

	mu   sync.RWMutex
	keys map[string]*allowance
	over bool // the policy is not in force any more
}

// allowance is what is known of a key.
type allowance struct {
	key    string
	units  atomic.Int64 // taken ahead and not spent
	denied atomic.Pointer[denial]
	timer  *time.Timer // ends the life of the units, and then of this

	turn  chan struct{} // held by who asks the engine; guards the rest
	want  int64         // size of the next block
	taken time.Time     // when the last one was
	left  int64         // of the limit, after it
}

// denial is a refusal that is certain to hold for a while.
type denial struct {
	n           int64
	decision    Decision
	until, over time.Time // it holds, and the engine's wait is over
}

func newHot(l *Limiter, p *Policy, o Allowance) (*hot, error) {
	h := &hot{limiter: l, policy: p, opt: o, slack: p.slack(o.Life), first: 1, keys: make(map[string]*allowance)}
	if l.backend.Capabilities().Block {
		h.first = firstBlock
	}
	if o.Strict {
		strict, err := p.strict(o.Life)
		if err != nil {
			return nil, err
		}
		h.policy, h.slack = strict, 0
	}
	return h, nil
}

// decide answers an op from what is known, or asks.
func (h *hot) decide(ctx context.Context, op *Op) (Decision, error) {
	op.Policy = h.policy
	if err := op.validate(); err != nil {
		return Decision{}, err
	}
	if op.Kind != OpTake {
		return h.exact(ctx, h.limiter.by(), op)
	}
	a := h.find(op.Key)
	if a == nil {
		return h.exact(ctx, h.limiter.by(), op)
	}
	if d, known := h.known(a, op); known {
		return d, nil
	}
	by := h.limiter.by()
	if op.MaxWait > 0 { // a reservation is one with the engine
		return h.exact(ctx, by, op)
	}
	if err := h.await(ctx, by, a); err != nil {
		return Decision{}, err
	}
	defer func() { <-a.turn }()
	if d, known := h.known(a, op); known { // somebody else has asked meanwhile
		return d, nil
	}
	return h.fill(ctx, by, a, op)
}

// await takes the turn to ask about a key. While the engine hangs those who wait for it are many, and each
// of them must be answered in time.
func (h *hot) await(ctx context.Context, by time.Time, a *allowance) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(time.Until(by))
	defer late.Stop()
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.limiter.life.Done():
		return ErrClosed
	case <-late.C:
		return h.limiter.late()
	}
}

// atOnce answers a call from units that were taken ahead.
func (h *hot) atOnce(op *Op, d *Decision) bool {
	if op.Kind != OpTake {
		return false
	}
	h.mu.RLock()
	a := h.keys[op.Key]
	h.mu.RUnlock()
	if a == nil || !a.spend(op.N) {
		return false
	}
	h.spent(a, d)
	return true
}

func (h *hot) spent(a *allowance, d *Decision) {
	d.Allowed, d.Limit, d.Remaining = true, h.policy.limits[0].Name, a.units.Load()
	d.Source, d.Slack = FromAllowance, h.slack
}

// exact asks for what is asked for.
func (h *hot) exact(ctx context.Context, by time.Time, op *Op) (Decision, error) {
	d, err := h.limiter.ask(ctx, by, op)
	d.Slack = h.slack
	return d, err
}

// find returns what is known of a key, or nil if there is no room.
func (h *hot) find(key string) *allowance {
	h.mu.RLock()
	a := h.keys[key]
	h.mu.RUnlock()
	if a != nil {
		return a
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.keys[key]; a != nil || h.over || len(h.keys) >= maxHot {
		return a
	}
	a = &allowance{key: key, turn: make(chan struct{}, 1)}
	a.timer = time.AfterFunc(math.MaxInt64, func() { h.expire(a) })
	a.timer.Reset(2 * h.opt.Life) // not before the func can see it
	h.keys[key] = a
	return a
}

// known answers a call without asking, if that is possible.
func (h *hot) known(a *allowance, op *Op) (d Decision, ok bool) {
	if a.spend(op.N) {
		h.spent(a, &d)
		return d, true
	}
	if d := a.denied.Load(); d != nil && op.N >= d.n && op.MaxWait == 0 {
		if now := time.Now(); now.Before(d.until) {
			answer := d.decision
			passed := answer.RetryAfter - d.over.Sub(now)
			answer.RetryAfter -= passed
			answer.ResetAfter -= passed
			answer.Source = FromDenial
			return answer, true
		}
	}
	return Decision{}, false
}

// spend takes units that are there.
func (a *allowance) spend(n int64) bool {
	for {
		have := a.units.Load()
		if have < n {
			return false
		}
		if a.units.CompareAndSwap(have, have-n) {
			return true
		}
	}
}

// fill takes a block of units, or what the call needs if so many do not fit.
func (h *hot) fill(ctx context.Context, by time.Time, a *allowance, op *Op) (Decision, error) {
	start := time.Now()
	h.size(a, start)
	block := *op
	block.N = min(max(a.want, op.N), h.policy.most)
	d, err := h.exact(ctx, by, &block)
	if err == nil && !d.Allowed && block.N > op.N {
		a.want, block.N, start = 1, op.N, time.Now()
		d, err = h.exact(ctx, by, &block)
	}
	if err != nil {
		return d, err
	}
	a.left = d.Remaining
	if !d.Allowed {
		// The engine refused after start, so the refusal holds until then and the wait: nothing is ever
		// refused that it would allow, unless somebody takes units back.
		a.denied.Store(&denial{op.N, d, start.Add(min(d.RetryAfter, h.opt.Life)), start.Add(d.RetryAfter)})
		return d, nil
	}
	a.taken = start
	rest := block.N - op.N
	d.Remaining += rest
	h.keep(a, start, rest)
	return d, nil
}

// size chooses the next block: twice the last one if that was spent in a quarter of its life, half of it
// if it lasted, and never more than a part of what is left.
func (h *hot) size(a *allowance, now time.Time) {
	switch lasted := now.Sub(a.taken); {
	case a.taken.IsZero():
		a.want = h.first
	case lasted < h.opt.Life/4:
		a.want = min(2*a.want, a.left/4)
	case lasted > h.opt.Life:
		a.want /= 2
	}
	a.want = min(max(a.want, 1), h.opt.Block)
}

// keep adds units. They live from when they were asked for.
func (h *hot) keep(a *allowance, start time.Time, units int64) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.over {
		h.giveBack(a.key, units)
		return
	}
	a.timer.Stop()
	life := h.opt.Life - time.Since(start)
	if life <= 0 { // the answer took too long
		h.giveBack(a.key, units)
		units = 0
	}
	h.giveBack(a.key, a.units.Swap(units)) // too few for the call, and older
	if units == 0 {
		life = 2 * h.opt.Life
	}
	a.timer.Reset(life)
}

// expire ends the life of units, and forgets a key that nobody has asked for since.
func (h *hot) expire(a *allowance) {
	h.giveBack(a.key, a.units.Swap(0))
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	default: // somebody asks right now
		a.timer.Reset(2 * h.opt.Life)
		return
	}
	if !a.taken.IsZero() && time.Since(a.taken) < 2*h.opt.Life {
		a.timer.Reset(2 * h.opt.Life)
		return
	}
	h.mu.Lock()
	if h.keys[a.key] == a {
		delete(h.keys, a.key)
	}
	h.mu.Unlock()
}

// giveBack returns units in the background.
func (h *hot) giveBack(key string, units int64) {
	if units <= 0 {
		return
	}
	op := Op{Kind: OpGive, Key: key, Policy: h.policy, N: units}
	h.limiter.background(func(ctx context.Context) error {
		_, err := h.limiter.ask(ctx, h.limiter.by(), &op)
		return err
	})
}

// forget drops what is known of a key whose counts were changed.
func (h *hot) forget(key string, units bool) {
	h.mu.RLock()
	a := h.keys[key]
	h.mu.RUnlock()
	if a == nil {
		return
	}
	a.denied.Store(nil)
	if units {
		a.units.Store(0)
	}
}

// end returns all units, as ops, and stops what runs.
func (h *hot) end() (ops []Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for key, a := range h.keys {
		a.timer.Stop()
		if units := a.units.Swap(0); units > 0 {
			ops = append(ops, Op{Kind: OpGive, Key: key, Policy: h.policy, N: units})
		}
	}
	clear(h.keys)
	return ops
}
