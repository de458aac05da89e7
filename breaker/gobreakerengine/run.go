package gobreakerengine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
)

// What gobreaker is told of a call. The outcome has been decided before.
var (
	errFailed  = errors.New("failed")
	errIgnored = errors.New("ignored")
)

// run is one breaker of gobreaker from its beginning to the next reset.
type run struct {
	engine *engine
	cb     *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu      sync.Mutex // taken under the lock of cb, so cb is not called while it is held
	state   breaker.State
	until   time.Time // Open: when it will try
	changes [][2]breaker.State
	probes  []*call
}

// call is one that gobreaker has let through.
type call struct {
	run      *run
	done     func(error)
	deadline time.Time // of a probe
	ended    atomic.Bool
}

func newRun(e *engine) *run {
	r := &run{engine: e}
	st := e.settings
	st.OnStateChange = r.note
	st.IsSuccessful = func(err error) bool { return err == nil }
	st.IsExcluded = func(err error) bool { return errors.Is(err, errIgnored) }
	r.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](st)
	return r
}

// note keeps a change until the lock of cb is free.
func (r *run) note(_ string, from, to gobreaker.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = stateOf(to)
	r.changes = append(r.changes, [2]breaker.State{stateOf(from), r.state})
	r.probes = nil
	if r.state == breaker.Open {
		r.until = time.Now().Add(r.engine.settings.Timeout)
	}
}

// tell reports the changes that were noted, unless a reset has made them the past.
func (r *run) tell() {
	r.mu.Lock()
	changes := r.changes
	r.changes = nil
	r.mu.Unlock()
	for _, c := range changes {
		if r.engine.run.Load() == r {
			r.engine.changed(c[0], c[1])
		}
	}
}

func (r *run) admit() (func(breaker.Outcome), *breaker.Refusal) {
	defer r.tell()
	r.freeLost()
	done, err := r.cb.Allow()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return nil, r.refusalLocked(err)
	}
	c := &call{run: r, done: done}
	if r.state == breaker.HalfOpen {
		c.deadline = time.Now().Add(r.engine.probeTimeout)
		r.probes = append(r.probes, c)
	}
	return c.report, nil
}

func (r *run) refusalLocked(err error) *breaker.Refusal {
	if errors.Is(err, gobreaker.ErrTooManyRequests) {
		return &breaker.Refusal{State: breaker.HalfOpen, Reason: breaker.Probing}
	}
	return &breaker.Refusal{State: breaker.Open, Reason: breaker.TooManyFailures, Until: r.until}
}

// freeLost ends the probes whose time is over, as if they had never been.
func (r *run) freeLost() {
	now := time.Now()
	var lost []*call
	r.mu.Lock()
	kept := r.probes[:0]
	for _, c := range r.probes {
		switch {
		case c.ended.Load():
		case now.Before(c.deadline):
			kept = append(kept, c)
		default:
			lost = append(lost, c)
		}
	}
	r.probes = kept
	r.mu.Unlock()
	for _, c := range lost {
		c.report(breaker.Ignored)
	}
}

// report tells gobreaker, which ignores what is late.
func (c *call) report(o breaker.Outcome) {
	if !c.ended.CompareAndSwap(false, true) {
		return
	}
	defer c.run.tell()
	switch o {
	case breaker.Success:
		c.done(nil)
	case breaker.Ignored:
		c.done(errIgnored)
	default:
		c.done(errFailed)
	}
}
