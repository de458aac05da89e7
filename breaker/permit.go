package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// Permit is a call that was let through. Tell it once how the call ended, with Done or Report; whatever
// comes later changes nothing. One that is never told is a lost call: it is not counted, and a probe
// slot that it has is free again after Options.ProbeTimeout.
//
// Its methods may be called by several goroutines. Do not copy it. Those of the zero Permit do nothing.
type Permit struct {
	b     *Breaker
	ctx   context.Context // of the call, to know whether its caller has cancelled
	phase *phase          // nil: nobody judges the call, or another engine does
	slot  uint64          // of a probe
	start int64           // when it was let through, if that is measured
	other func(Outcome)   // where another engine wants the outcome
	ended atomic.Bool
}

// Done says that the call has ended with err, nil included, and what that means is decided by
// Options.Classify. If err is not nil and the caller's context was cancelled, the call is [Ignored].
func (p *Permit) Done(err error) {
	if p.b != nil && p.ended.CompareAndSwap(false, true) {
		p.end(p.b.outcome(p.ctx, err), err)
	}
}

// Report says that the call has ended with this outcome. Nothing else is asked.
func (p *Permit) Report(o Outcome) {
	if p.b != nil && p.ended.CompareAndSwap(false, true) {
		p.end(o, nil)
	}
}

// end is called once.
func (p *Permit) end(o Outcome, err error) {
	var took time.Duration
	switch {
	case p.phase != nil:
		took = p.b.own.report(p, o)
	case p.other != nil:
		p.other(o)
	}
	if told := p.b.hooks.Ended; told != nil {
		i := p.b.info()
		i.Outcome, i.Took, i.Probe, i.Err = o, took, p.slot != 0, err
		i.Slow = p.b.opt.SlowAfter > 0 && took > p.b.opt.SlowAfter
		told(p.ctx, i)
	}
}
