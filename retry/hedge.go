package retry

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// maxUnderWay is how many attempts of one call may run at a time.
const maxUnderWay = 2

// Hedge is [Do] for calls whose slow attempts are worth a second one beside them: when an attempt takes
// longer than most recent ones (Options.HedgeQuantile), another begins, and the first success of the two
// counts. There is no hedge before some attempts were observed, for more than Options.HedgeShare
// of the calls, or without budget.
//
// So fn may run twice at the same time: call Hedge only for what changes nothing, or for what a server
// recognises by Attempt.Key. The value of an attempt that was overtaken is dropped, so it must need no
// closing.
//
// fn runs on goroutines of its own. Hedge returns with the first success, or when ctx ends, and does
// not wait for attempts that are still running: their contexts end with the cause [ErrOvertaken], and
// [Retrier.Close] waits for them. A panic of fn becomes a panic of Hedge with a [*PanicError], a
// [runtime.Goexit] one of the caller's goroutine. A panic after Hedge has returned ends the program, as on
// any other goroutine.
func Hedge[T any](ctx context.Context, r *Retrier, fn func(context.Context, Attempt) (T, error)) (T, error) {
	var zero T
	ctx, cancel := r.bound(ctx)
	defer cancel()
	ctx, overtake := context.WithCancelCause(ctx)
	defer overtake(ErrOvertaken)

	hi, lo := randomKey()
	c := &course{r: r, ctx: ctx, attempt: Attempt{ctx: ctx, hi: hi, lo: lo}, since: r.began()}
	if ctx.Err() != nil {
		return zero, c.over()
	}
	r.hedges.deposit()
	race := &race[T]{course: c, fn: fn, ended: make(chan finish[T], r.opt.MaxAttempts), timer: time.NewTimer(0)}
	defer race.leave()
	return race.run()
}

// race is one call of Hedge. All but its goroutines belongs to the caller's goroutine.
type race[T any] struct {
	course   *course
	fn       func(context.Context, Attempt) (T, error)
	ended    chan finish[T] // has room for all attempts
	underWay int

	timer  *time.Timer
	repeat bool // the timer is for the attempt after a failure, not for a hedge
	delay  time.Duration

	mu   sync.Mutex
	left bool // nobody takes what is sent to ended
}

// finish is how an attempt ended.
type finish[T any] struct {
	number int
	hedge  bool
	ctx    context.Context
	value  T
	err    error
	panics *PanicError
	exits  bool // by Goexit
}

func (r *race[T]) run() (T, error) {
	var zero T
	c := r.course
	if err := r.start(false); err != nil {
		return zero, err
	}
	for {
		select {
		case f := <-r.ended:
			if v, done, err := r.finished(f); done {
				return v, err
			}
		case <-r.timer.C:
			if err := r.due(); err != nil {
				return zero, err
			}
		case <-c.ctx.Done():
			select {
			case f := <-r.ended: // also when both have come
				if v, done, err := r.finished(f); done {
					return v, err
				}
			default:
			}
			if r.repeat {
				c.refund()
			}
			return zero, c.over()
		}
	}
}

// finished takes in the end of an attempt, and reports whether it is that of the call.
func (r *race[T]) finished(f finish[T]) (v T, done bool, err error) {
	c := r.course
	r.underWay--
	f.rethrow()
	if f.err == nil {
		c.succeeded(f.number, f.hedge)
		return f.value, true, nil
	}
	again := c.failed(f.ctx, f.number, f.err)
	if again && r.underWay > 0 && c.ctx.Err() == nil {
		return v, false, nil // the other attempt is the repetition
	}
	delay, err := c.next()
	if err != nil {
		return v, true, err
	}
	r.repeat, r.delay = true, delay
	r.timer.Reset(delay)
	return v, false, nil
}

// due makes the attempt that the timer was set for.
func (r *race[T]) due() error {
	if r.repeat {
		r.repeat = false
		r.course.waited(r.delay)
		return r.start(false)
	}
	if r.course.hedge(r.delay) {
		return r.start(true)
	}
	return nil
}

// start begins an attempt, and sets the timer for a hedge of it.
func (r *race[T]) start(hedge bool) error {
	c := r.course
	if !c.r.enter() {
		return c.giveUp(Canceled, ErrClosed, 0)
	}
	r.underWay++
	go r.attempt(c.begin(), hedge)

	r.timer.Stop()
	if slow := time.Duration(c.r.latency.slow.Load()); slow > 0 && r.underWay < maxUnderWay {
		r.delay = max(slow, c.r.opt.HedgeDelay)
		r.timer.Reset(r.delay)
	}
	return nil
}

// attempt runs on a goroutine of its own.
func (r *race[T]) attempt(a Attempt, hedge bool) {
	ctx, cancel := r.course.r.attemptContext(r.course.ctx, a.Number)
	f := finish[T]{number: a.Number, hedge: hedge, ctx: ctx, exits: true}
	defer r.course.r.leave()
	defer func() {
		if f.exits {
			if value := recover(); value != nil {
				f.panics, f.exits = &PanicError{Value: value, Stack: debug.Stack()}, false
			}
		}
		if !r.send(f) && f.panics != nil {
			panic(f.panics)
		}
	}()
	defer cancel()
	start := time.Now()
	f.value, f.err = r.fn(ctx, a)
	f.exits = false
	// One that was overtaken would have taken longer still: without it, the slow ones would never count.
	if f.err == nil || errors.Is(context.Cause(ctx), ErrOvertaken) {
		r.course.r.observe(start)
	}
}

// rethrow lets a panic or Goexit of an attempt go on in the goroutine of the caller.
func (f *finish[T]) rethrow() {
	if f.panics != nil {
		panic(f.panics)
	}
	if f.exits {
		runtime.Goexit()
	}
}

// send hands in the end of an attempt, and reports false if Hedge has returned.
func (r *race[T]) send(f finish[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return false
	}
	r.ended <- f
	return true
}

// leave is the end of Hedge.
func (r *race[T]) leave() {
	r.timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
}

// hedge decides whether an attempt may begin beside one that had delay, and pays for it. A refusal
// concerns this hedge only: the attempt that is under way goes on.
func (c *course) hedge(delay time.Duration) bool {
	r := c.r
	if c.begun >= r.opt.MaxAttempts || r.opt.OnlyUnsent || c.nested() || !c.fits(0) {
		return false
	}
	if r.hedges.take(r.hedges.hedge) != nil {
		return false
	}
	if r.budget != nil && r.budget.take(r.budget.hedge) != nil {
		r.hedges.add(r.hedges.hedge)
		return false
	}
	r.hooks.Hedged(c.ctx, Info{Name: r.name, Attempt: c.begun + 1, Delay: delay})
	return true
}

// newShare returns a budget of hedges, which calls pay in for.
func newShare(share float64) *Budget {
	return (&BudgetOptions{Ratio: share, Capacity: 10, Costs: Costs{Hedge: 1}}).budget("hedges")
}
