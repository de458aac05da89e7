package gobreakerengine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
)

const (
	minTime = time.Millisecond
	maxTime = 24 * time.Hour

	// defaultTimeout is that of gobreaker.
	defaultTimeout = time.Minute
)

// Options configure what gobreaker has no setting for. nil means all defaults. New copies them.
type Options struct {
	// ProbeTimeout is how long a probe may take: 1 ms to 24 h, default [breaker.DefaultProbeTimeout]. After
	// it, another call has its place, and what it reports is ignored.
	ProbeTimeout time.Duration

	_ struct{}
}

// New returns what makes an engine of these settings, for [breaker.Options].Engine. It can be used for
// several breakers.
//
// Name is replaced by that of the breaker. OnStateChange, IsSuccessful and IsExcluded must be nil: Hooks and
// Classify of the breaker are in their place. ReadyToTrip is called under a lock, and must not call the
// breaker. What is wrong is reported by the constructor of the breaker, each as a [*breaker.InvalidError].
func New(st gobreaker.Settings, o *Options) breaker.NewEngine {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.ProbeTimeout == 0 {
		opt.ProbeTimeout = breaker.DefaultProbeTimeout
	}
	if st.Timeout <= 0 {
		st.Timeout = defaultTimeout
	}
	return func(name string, changed func(from, to breaker.State)) (breaker.Engine, error) {
		if err := check(st, opt); err != nil {
			return nil, fmt.Errorf("gobreakerengine: %w", err)
		}
		st := st
		st.Name = name
		e := &engine{settings: st, probeTimeout: opt.ProbeTimeout, changed: changed}
		e.Reset()
		return e, nil
	}
}

func check(st gobreaker.Settings, opt Options) error {
	var errs []error
	refuse := func(bad bool, field, problem string) {
		if bad {
			errs = append(errs, &breaker.InvalidError{Field: field, Problem: problem})
		}
	}
	refuse(st.OnStateChange != nil, "OnStateChange", "must be nil: set Hooks of the breaker")
	refuse(st.IsSuccessful != nil, "IsSuccessful", "must be nil: set Classify of the breaker")
	refuse(st.IsExcluded != nil, "IsExcluded", "must be nil: set Classify of the breaker")
	refuse(opt.ProbeTimeout < minTime || opt.ProbeTimeout > maxTime, "ProbeTimeout",
		fmt.Sprintf("must be %v to %v", minTime, maxTime))
	return errors.Join(errs...)
}

// engine is the [breaker.Engine]. A reset puts a new run in the place of the old one.
type engine struct {
	settings     gobreaker.Settings
	probeTimeout time.Duration
	changed      func(from, to breaker.State)
	run          atomic.Pointer[run]
}

// Reset begins anew.
func (e *engine) Reset() { e.run.Store(newRun(e)) }

// Admit asks gobreaker.
func (e *engine) Admit() (func(breaker.Outcome), *breaker.Refusal) {
	return e.run.Load().admit()
}

// State asks gobreaker, which looks at its clock.
func (e *engine) State() breaker.State {
	r := e.run.Load()
	defer r.tell()
	return stateOf(r.cb.State())
}

// Counts returns those of gobreaker.
func (e *engine) Counts() breaker.Counts {
	n := e.run.Load().cb.Counts()
	return breaker.Counts{
		Calls:  int64(n.TotalSuccesses) + int64(n.TotalFailures),
		Failed: int64(n.TotalFailures),
	}
}

func stateOf(s gobreaker.State) breaker.State {
	switch s {
	case gobreaker.StateOpen:
		return breaker.Open
	case gobreaker.StateHalfOpen:
		return breaker.HalfOpen
	default:
		return breaker.Closed
	}
}
