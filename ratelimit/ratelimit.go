package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/internal/workers"
)

// Limiter decides for each key whether a call may go on under a policy. Its methods may be called by
// several goroutines. The zero Limiter is not usable; make one with [New]. It must be closed.
type Limiter struct {
	backend Backend
	local   Local // the backend, if it is in this process
	prompt  bool  // the backend keeps deadlines
	opt     Options
	force   atomic.Pointer[policy]

	changing sync.Mutex // held by SetPolicy
	life     context.Context
	end      context.CancelFunc

	abandoned atomic.Int64  // calls that were given up and have not returned
	running   workers.Group // calls to the engine, and what goes on in the background
	workers   workers.Pool
	mu        sync.RWMutex // calls begin under it
	closed    atomic.Bool
}

// policy is what is in force.
type policy struct {
	*Policy
	fallback *fallback
	hot      *hot // nil without allowances
}

// counted returns the policy by which the engine counts.
func (p *policy) counted() *Policy {
	if p.hot != nil {
		return p.hot.policy
	}
	return p.Policy
}

func (l *Limiter) policy(p *Policy) (*policy, error) {
	f := &policy{Policy: p, fallback: newFallback(p, l.opt.Share)}
	if l.opt.Allowance == nil {
		return f, nil
	}
	var err error
	f.hot, err = newHot(l, p, *l.opt.Allowance)
	return f, err
}

// New returns a limiter of policy on b, which stays the caller's. Nothing is sent before the first
// call.
//
// Limiters on one engine that are asked about the same key count together. Give the keys of each a
// beginning of their own where that is not meant.
//
// Arguments and options that are out of bounds are reported all at once, each as an [*InvalidError].
func New(b Backend, p *Policy, o *Options) (*Limiter, error) {
	var errs []error
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		errs = append(errs, &InvalidError{Field: "backend", Problem: "must not be nil"})
	}
	if p == nil || len(p.rules) == 0 {
		errs = append(errs, &InvalidError{Field: "policy", Problem: "must come from NewPolicy"})
	}
	opt, err := o.withDefaults()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("ratelimit: new: %w", err)
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	if opt.Allowance == nil && b.Capabilities().Block {
		a, _ := (&Allowance{}).withDefaults()
		opt.Allowance = &a
	}
	l := &Limiter{backend: b, opt: opt, prompt: b.Capabilities().Prompt}
	if l.local, _ = b.(Local); l.local != nil {
		l.opt.Allowance = nil // nothing is faster than the engine
	}
	f, err := l.policy(p)
	if err != nil {
		return nil, fmt.Errorf("ratelimit: new: %w", err)
	}
	l.life, l.end = context.WithCancel(context.Background())
	l.force.Store(f)
	return l, nil
}

// Close makes further calls fail with [ErrClosed], ends what waits, gives back what was taken ahead,
// and returns when nothing runs any more, or with the error of ctx. Further calls of Close wait again.
func (l *Limiter) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed.Swap(true) {
		l.running.Go(func() { l.giveUp(l.force.Load()) })
	}
	l.mu.Unlock()
	l.end()
	if err := cmp.Or(l.running.Wait(ctx), l.workers.Close(ctx)); err != nil {
		return fmt.Errorf("ratelimit: close: calls to the engine have not returned: %w", err)
	}
	return nil
}

// giveUp gives back what was taken ahead under a policy.
func (l *Limiter) giveUp(p *policy) {
	if p.hot == nil {
		return
	}
	for ops := range slices.Chunk(p.hot.end(), maxBatch) {
		ctx, cancel := context.WithTimeout(context.Background(), l.opt.Timeout)
		out := make([]Outcome, len(ops))
		l.backend.Apply(ctx, ops, out)
		cancel()
		for i := range out {
			if out[i].Err != nil {
				l.failed(Info{Key: ops[i].Key, N: ops[i].N, Err: wrap("give back", ops[i].Key, out[i].Err)})
			}
		}
	}
}

// maxBatch is how many ops are sent together.
const maxBatch = 256

// Policy returns the policy that is in force.
func (l *Limiter) Policy() *Policy { return l.force.Load().Policy }

// SetPolicy brings another policy into force. how says what becomes of what was counted: it is changed
// over with the first call for each key. version numbers the change: it must be larger than that of
// any earlier one, and the same in all processes; while not all have made the change, each goes on with
// its own limits, over what all count together. A policy with other algorithms begins anew.
//
// The error matches [ErrInvalid].
func (l *Limiter) SetPolicy(p *Policy, how Migration, version int64) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	if p == nil || len(p.rules) == 0 {
		return fmt.Errorf("ratelimit: set policy: %w", &InvalidError{Field: "policy", Problem: "must come from NewPolicy"})
	}
	next, err := p.after(l.Policy(), how, version)
	if err != nil {
		return fmt.Errorf("ratelimit: set policy: %w", err)
	}
	f, err := l.policy(next)
	if err != nil {
		return fmt.Errorf("ratelimit: set policy: %w", err)
	}
	old := l.force.Swap(f)
	l.background(func(context.Context) error { l.giveUp(old); return nil })
	return nil
}

// Allow is [Limiter.AllowN] of one unit.
func (l *Limiter) Allow(ctx context.Context, key string) (d Decision, err error) {
	return l.AllowN(ctx, key, 1)
}

// AllowN decides whether a call that costs n units may go on, and counts it if so. n is 1 to the
// smallest burst of the policy; key has 1 to [MaxKey] bytes of any value.
//
// It decides within Options.Timeout: if the engine has not answered by then, Limit.Down has decided,
// and Source says so. The call may then have been counted or not. The error matches the error of ctx,
// [ErrInvalid] or [ErrClosed]; nothing was decided then.
func (l *Limiter) AllowN(ctx context.Context, key string, n int64) (d Decision, err error) {
	op := Op{Kind: OpTake, Key: key, N: n}
	if l.opt.Hooks.Decided == nil && l.atOnce(ctx, &op, &d) {
		return d, nil
	}
	return l.decide(ctx, "allow", op)
}

// atOnce decides without asking anybody, and reports false if that is not possible.
func (l *Limiter) atOnce(ctx context.Context, op *Op, d *Decision) bool {
	force := l.force.Load()
	op.Policy = force.Policy
	if !op.sound() || ctx.Err() != nil || l.closed.Load() {
		return false
	}
	if force.hot != nil {
		return force.hot.atOnce(op, d)
	}
	if l.local != nil {
		if t := l.local.Table(); t != nil {
			t.decide(op, d)
			return true
		}
	}
	return false
}

// table returns what decides at once for those who ask for an answer alone, or nil.
func (l *Limiter) table() *Table {
	if l.local == nil || l.opt.Hooks.Decided != nil || l.closed.Load() {
		return nil
	}
	return l.local.Table()
}

// Peek is AllowN, and counts nothing.
func (l *Limiter) Peek(ctx context.Context, key string, n int64) (Decision, error) {
	return l.decide(ctx, "peek", Op{Kind: OpPeek, Key: key, N: n})
}

// Refund counts n units less, as for a call that was allowed and not made: the newest first, as far as
// they are there. Unlike AllowN it fails if the engine does not answer, with an error that matches
// [ErrUnavailable]; the units may have been taken back or not.
func (l *Limiter) Refund(ctx context.Context, key string, n int64) error {
	return l.change(ctx, "refund", Op{Kind: OpGive, Key: key, N: n})
}

// Reset forgets what was counted for key. The errors are those of Refund.
func (l *Limiter) Reset(ctx context.Context, key string) error {
	return l.change(ctx, "reset", Op{Kind: OpReset, Key: key})
}

// decide answers an op, by the fallback if the engine does not.
func (l *Limiter) decide(ctx context.Context, verb string, op Op) (Decision, error) {
	force := l.force.Load()
	op.Policy = force.Policy
	err := op.validate()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Decision{}, wrap(verb, op.Key, err)
	}
	start := time.Now()
	var d Decision
	switch {
	case l.atOnce(ctx, &op, &d):
	case force.hot != nil:
		d, err = force.hot.decide(ctx, &op)
	default:
		d, err = l.ask(ctx, l.by(), &op)
	}
	if err == nil {
		l.decided(&op, d, start)
		return d, nil
	}
	if ctx.Err() != nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrInvalid) {
		return Decision{}, wrap(verb, op.Key, err)
	}
	d = force.fallback.decide(&op)
	l.failed(Info{Key: op.Key, N: op.N, Decision: d, Took: time.Since(start), Err: wrap(verb, op.Key, err)})
	l.decided(&op, d, start)
	return d, nil
}

func (l *Limiter) decided(op *Op, d Decision, start time.Time) {
	if h := l.opt.Hooks.Decided; h != nil && op.Kind == OpTake {
		h(Info{Key: op.Key, N: op.N, Decision: d, Took: time.Since(start)})
	}
}

func (l *Limiter) failed(i Info) {
	if h := l.opt.Hooks.Failed; h != nil {
		h(i)
	}
}

// change executes an op that has no fallback.
func (l *Limiter) change(ctx context.Context, verb string, op Op) error {
	force := l.force.Load()
	op.Policy = force.counted()
	err := op.validate()
	if err == nil {
		_, err = l.ask(ctx, l.by(), &op)
	}
	if force.hot != nil {
		force.hot.forget(op.Key, op.Kind == OpReset)
	}
	if err != nil {
		return wrap(verb, op.Key, err)
	}
	return nil
}

// sound reports whether there is nothing to validate.
func (o *Op) sound() bool {
	return len(o.Key) >= 1 && len(o.Key) <= MaxKey && o.N >= 1 && o.N <= o.Policy.most
}

func (o *Op) validate() error {
	if len(o.Key) < 1 || len(o.Key) > MaxKey {
		return &InvalidError{Field: "key", Problem: fmt.Sprintf("must have 1 to %d bytes", MaxKey)}
	}
	if o.Kind == OpReset {
		return nil
	}
	return o.Policy.validate(o.N)
}

func wrap(verb, key string, err error) error {
	return fmt.Errorf("ratelimit: %s %q: %w", verb, key, err)
}
