package breaker

import (
	"context"
	"fmt"
	"sync/atomic"
)

// MaxName is the most bytes that the name of a breaker may have.
const MaxName = 256

// Breaker stands before one thing that can fail, and stops calls to it while it does. Its methods may be
// called by several goroutines. The zero Breaker is not usable; make one with [New] and share it. It has
// no goroutine and needs no closing.
type Breaker struct {
	name, key string
	opt       Options
	hooks     Hooks
	mode      atomic.Uint32 // a Mode
	fixed     bool          // it stands in for breakers that a Group has no place for: its mode stays
	own       *machine      // nil if another engine decides
	other     Engine
	told      atomic.Uint32 // a State: the last one that other has told of
	forced    *RejectedError
}

// New returns a Breaker, closed. name says in errors and hooks what it stands before: 1 to 256 bytes.
// Options that are out of bounds are reported all at once, each as an [*InvalidError].
func New(name string, o *Options) (*Breaker, error) {
	var p problems
	p.check(len(name) >= 1 && len(name) <= MaxName, "name", "must have 1 to %d bytes", MaxName)
	opt := o.withDefaults(&p)
	if err := p.err("new"); err != nil {
		return nil, err
	}
	b, err := newBreaker(name, "", opt)
	if err != nil {
		return nil, fmt.Errorf("breaker: new: %w", err)
	}
	return b, nil
}

// newBreaker makes one of options that are filled in. The error is that of another engine.
func newBreaker(name, key string, opt Options) (*Breaker, error) {
	b := &Breaker{
		name: name, key: key, opt: opt, hooks: *opt.Hooks,
		forced: &RejectedError{Name: name, Key: key, State: Open, Reason: Forced},
	}
	if opt.ObserveOnly {
		b.mode.Store(uint32(ObserveOnly))
	}
	if opt.Engine != nil {
		var err error
		b.other, err = opt.Engine(name, b.otherChanged)
		return b, err
	}
	b.own = &machine{
		rules: opt.rules(), slowAfter: int64(opt.SlowAfter), timeless: opt.Calls > 0 && opt.SlowAfter == 0,
		attended: opt.SlowAfter > 0 || opt.Voter != nil,
		name:     name, key: key, newWindow: opt.newWindow, voter: opt.Voter, changed: b.changed,
	}
	b.own.start()
	if opt.Voter != nil {
		opt.Voter.Join(name, b.vote)
	}
	return b, nil
}

// Do calls fn if the breaker lets it through, and reports what comes of it, as [Permit.Done] does; a fn that
// panics or ends its goroutine is a failure. It returns what fn returns. If fn was not called the error is
// that of [Breaker.Acquire].
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	var p Permit
	if err := b.begin(ctx, &p); err != nil {
		var none T
		return none, err
	}
	returned := false
	defer func() {
		if !returned {
			p.end(Failure, nil)
		}
	}()
	v, err := fn(ctx)
	returned = true
	o := Success
	if err != nil || b.opt.Classify != nil {
		o = b.outcome(ctx, err)
	}
	p.end(o, err)
	return v, err
}

// Acquire asks whether a call may begin, and never waits. The Permit must be told how the call ended.
// Use it where [Do] does not fit, because the call ends elsewhere than it begins.
//
// The error matches [ErrRejected], or the error of ctx if that has ended before: then nothing is
// counted.
func (b *Breaker) Acquire(ctx context.Context) (p Permit, err error) {
	err = b.begin(ctx, &p)
	return
}

// begin fills in the permit, which is zero.
func (b *Breaker) begin(ctx context.Context, p *Permit) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("breaker: acquire %q: %w", b.name, err)
	}
	mode := b.Mode()
	if mode == Automatic && b.own != nil {
		if p.phase = b.own.plain(); p.phase != nil {
			p.b, p.ctx = b, ctx
			return nil
		}
	}
	if refused := b.ask(p, mode); refused != nil {
		if b.hooks.Rejected != nil {
			b.tellRejected(ctx, mode, refused)
		}
		if mode != ObserveOnly {
			return refused
		}
	}
	p.b, p.ctx = b, ctx
	return nil
}

// ask asks whoever decides.
func (b *Breaker) ask(p *Permit, mode Mode) *RejectedError {
	switch {
	case mode == ForcedOpen:
		return b.forced
	case mode == ForcedClosed:
		return nil
	case b.own != nil:
		return b.own.ask(p)
	}
	report, refused := b.other.Admit()
	if refused != nil {
		return &RejectedError{Name: b.name, Key: b.key, State: refused.State, Reason: refused.Reason, until: refused.Until}
	}
	p.other = report
	return nil
}

func (b *Breaker) tellRejected(ctx context.Context, mode Mode, refused *RejectedError) {
	b.hooks.Rejected(ctx, Info{
		Name: b.name, Key: b.key, State: refused.State, Mode: mode, Reason: refused.Reason, Err: refused,
	})
}

// Name returns the name of the breaker, or of its group.
func (b *Breaker) Name() string { return b.name }

// State returns what the breaker has decided last. It does not look at the clock: one whose open time
// is over is Open until the next call. A mode that an operator has set goes before it, see
// [Breaker.Mode].
func (b *Breaker) State() State {
	if b.own == nil {
		return b.other.State()
	}
	return b.own.phase.Load().state
}

// Counts returns the calls that the breaker judges by at present. An open one has none.
func (b *Breaker) Counts() Counts {
	if b.own == nil {
		return b.other.Counts()
	}
	return b.own.counts(b.own.phase.Load())
}
