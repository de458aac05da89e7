package breaker

import "time"

// The defaults of a Breaker that names none.
const (
	DefaultWindow       = 10 * time.Second
	DefaultMinCalls     = 20
	DefaultFailureRate  = 0.5
	DefaultSlowRate     = 0.5
	DefaultOpenFor      = 5 * time.Second
	DefaultMaxOpenFor   = time.Minute
	DefaultProbes       = 3
	DefaultProbeTimeout = 10 * time.Second
)

const (
	minWindow = 100 * time.Millisecond
	minTime   = time.Millisecond
	maxTime   = 24 * time.Hour
	maxCalls  = 1_000_000
)

// Options configure a [Breaker]. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// Window is the time that is looked back on: 100 ms to 24 h, default [DefaultWindow]. It moves on in
	// steps of at most an eighth.
	Window time.Duration

	// Calls looks back on the last so many calls instead of a time, however old they are: 1 to 1 000 000.
	// For what is called so seldom that no Window would hold enough.
	Calls int

	// MinCalls is how many calls must be in the window before it is judged: 1 to 1 000 000, default
	// [DefaultMinCalls] or Calls if that is less. A rate of few calls says little.
	MinCalls int

	// FailureRate is the share of failed calls that opens the breaker: above 0 to 1, default
	// [DefaultFailureRate].
	FailureRate float64

	// SlowAfter is how long a call may take before it counts as slow, in whatever way it ends: 1 ms to
	// 24 h, default 0, which judges no call by its time.
	SlowAfter time.Duration

	// SlowRate is the share of slow calls that opens the breaker: above 0 to 1, default [DefaultSlowRate].
	// It needs SlowAfter.
	SlowRate float64

	// OpenFor is how long the breaker stays open: 1 ms to 24 h, default [DefaultOpenFor]. It doubles
	// each time that it opens again before it has stayed closed for MaxOpenFor. A random part of up to
	// a fifth is taken off, so that many instances do not try together.
	OpenFor time.Duration

	// MaxOpenFor is the longest that OpenFor grows to: OpenFor to 24 h, default [DefaultMaxOpenFor] or
	// OpenFor if that is longer. The same as OpenFor keeps it constant.
	MaxOpenFor time.Duration

	// Probes is how many calls are let through, once that time is over, to try: 1 to [MaxProbes],
	// default [DefaultProbes]. They are judged by the rates above, as soon as the missing ones cannot
	// change the verdict.
	Probes int

	// ProbeTimeout is how long a probe may take: 1 ms to 24 h, default [DefaultProbeTimeout]. After it, another
	// call has its slot, and what it reports is ignored.
	ProbeTimeout time.Duration

	// Ramp is the time over which the share of calls that are let through grows from a twentieth to all,
	// after the probes went well: 1 ms to 24 h, default 0, which closes at once. The window is judged with a
	// quarter of MinCalls meanwhile, and at least Probes if MinCalls is not less.
	Ramp time.Duration

	// Classify says what the error of a call means. nil means that an error is a failure. It is called by
	// several goroutines, and not for calls whose caller has cancelled: they are always [Ignored].
	Classify func(error) Outcome

	// ObserveOnly begins in the mode of that name.
	ObserveOnly bool

	// Voter lets the instances of a fleet decide together; nil decides alone.
	Voter Voter

	// Engine decides in place of the engine of this package. Everything above but Classify and
	// ObserveOnly must be left zero then: it has settings of its own.
	Engine NewEngine

	// Hooks observe the breaker. nil logs to slog.Default when it opens and closes (see
	// [LogHooks]); an empty Hooks is silent.
	Hooks *Hooks

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, and adds every problem with it.
func (o *Options) withDefaults(p *problems) Options {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	if opt.Engine != nil {
		opt.checkEngine(p)
		return opt
	}
	opt.fill()
	opt.checkWindow(p)
	opt.checkTrial(p)
	return opt
}

func (o *Options) fill() {
	if o.Calls <= 0 {
		orElse(&o.Window, DefaultWindow)
		orElse(&o.MinCalls, DefaultMinCalls)
	}
	orElse(&o.MinCalls, min(DefaultMinCalls, o.Calls))
	orElse(&o.FailureRate, DefaultFailureRate)
	if o.SlowAfter != 0 {
		orElse(&o.SlowRate, DefaultSlowRate)
	}
	orElse(&o.OpenFor, DefaultOpenFor)
	orElse(&o.MaxOpenFor, max(DefaultMaxOpenFor, o.OpenFor))
	orElse(&o.Probes, DefaultProbes)
	orElse(&o.ProbeTimeout, DefaultProbeTimeout)
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) checkWindow(p *problems) {
	rate := func(r float64) bool { return r > 0 && r <= 1 }
	p.check(o.Calls >= 0 && o.Calls <= maxCalls, "Calls", "must be 0 to %d", maxCalls)
	if o.Calls <= 0 {
		p.check(o.Window >= minWindow && o.Window <= maxTime, "Window", "must be %v to %v", minWindow, maxTime)
		p.check(o.MinCalls >= 1 && o.MinCalls <= maxCalls, "MinCalls", "must be 1 to %d", maxCalls)
	} else {
		p.check(o.Window == 0, "Window", "must be 0 beside Calls")
		p.check(o.MinCalls >= 1 && o.MinCalls <= o.Calls, "MinCalls", "must be 1 to Calls")
	}
	p.check(rate(o.FailureRate), "FailureRate", "must be above 0 and at most 1")
	if o.SlowAfter == 0 {
		p.check(o.SlowRate == 0, "SlowRate", "needs SlowAfter")
		return
	}
	p.check(inTime(o.SlowAfter), "SlowAfter", "must be 0, or %v to %v", minTime, maxTime)
	p.check(rate(o.SlowRate), "SlowRate", "must be above 0 and at most 1")
}

func (o *Options) checkTrial(p *problems) {
	p.check(inTime(o.OpenFor), "OpenFor", "must be %v to %v", minTime, maxTime)
	p.check(o.MaxOpenFor >= o.OpenFor && o.MaxOpenFor <= maxTime, "MaxOpenFor", "must be OpenFor to %v", maxTime)
	p.check(o.Probes >= 1 && o.Probes <= MaxProbes, "Probes", "must be 1 to %d", MaxProbes)
	p.check(inTime(o.ProbeTimeout), "ProbeTimeout", "must be %v to %v", minTime, maxTime)
	p.check(o.Ramp == 0 || inTime(o.Ramp), "Ramp", "must be 0, or %v to %v", minTime, maxTime)
}

func inTime(d time.Duration) bool { return d >= minTime && d <= maxTime }

// checkEngine refuses options that another engine would not heed.
func (o *Options) checkEngine(p *problems) {
	for _, f := range []struct {
		name string
		zero bool
	}{
		{"Window", o.Window == 0}, {"Calls", o.Calls == 0}, {"MinCalls", o.MinCalls == 0},
		{"FailureRate", o.FailureRate == 0}, {"SlowAfter", o.SlowAfter == 0}, {"SlowRate", o.SlowRate == 0},
		{"OpenFor", o.OpenFor == 0}, {"MaxOpenFor", o.MaxOpenFor == 0}, {"Probes", o.Probes == 0},
		{"ProbeTimeout", o.ProbeTimeout == 0}, {"Ramp", o.Ramp == 0}, {"Voter", o.Voter == nil},
	} {
		p.check(f.zero, f.name, "must be 0 beside Engine, which has settings of its own")
	}
}

func (o *Options) newWindow() window {
	if o.Calls > 0 {
		return newCallWindow(o.Calls)
	}
	return newTimeWindow(o.Window)
}

func (o *Options) rules() rules {
	return rules{
		failureRate: o.FailureRate, slowRate: o.SlowRate,
		minCalls: int64(o.MinCalls), rampMinCalls: int64(min(o.MinCalls, max(o.Probes, o.MinCalls/4))),
		openFor: int64(o.OpenFor), maxOpenFor: int64(o.MaxOpenFor),
		probes: o.Probes, probeTimeout: int64(o.ProbeTimeout), ramp: int64(o.Ramp),
	}
}
