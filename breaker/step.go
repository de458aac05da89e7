package breaker

import (
	"math"
	"math/bits"
)

// rules are the options as the transition function needs them. Times are nanoseconds.
type rules struct {
	failureRate  float64
	slowRate     float64 // 0: slow calls are not judged
	minCalls     int64
	rampMinCalls int64 // enough to end a ramp
	openFor      int64
	maxOpenFor   int64 // also how long it must stay closed to begin again with openFor
	probes       int
	probeTimeout int64
	ramp         int64 // 0: it closes at once
}

// eventKind says what has happened.
type eventKind uint8

const (
	asked    eventKind = iota // a call wants to begin
	reported                  // a probe has ended
	judged                    // the window was counted after a call that did not go well
	decided                   // the fleet has decided to open
	reset                     // an operator wants to begin anew
)

// event is one thing that happens to the state at an instant. All that is random or comes from a clock
// is in it.
type event struct {
	kind     eventKind
	now      int64
	roll     uint32  // random
	number   uint64  // judged: under which the call was let through
	slot     uint64  // reported: the id of its slot
	outcome  Outcome // reported
	slow     bool    // reported
	counts   Counts  // judged
	decision uint64  // decided: how many there were
}

// step is the state machine: the state after an event, and for one that asks, whether the call may begin and
// which probe slot it has. It is a pure function; the machine applies it with a compare-and-swap.
func (r *rules) step(c core, e event) (next core, admitted bool, id uint64) {
	if c.state == Ramping && e.now >= c.until {
		c = c.finishRamp()
	}
	switch e.kind {
	case asked:
		return r.ask(c, e)
	case reported:
		return r.report(c, e), false, 0
	case judged:
		return r.judge(c, e), false, 0
	case decided:
		return r.decide(c, e), false, 0
	default:
		c.trips = 0
		return c.enter(Closed, Forced, e.now), false, 0
	}
}

// finishRamp closes for good. The calls of the ramp go on counting, so from stays.
func (c core) finishRamp() core {
	c.state, c.why = Closed, Recovered
	c.number++
	c.since, c.until = c.until, 0
	return c
}

func (r *rules) ask(c core, e event) (next core, admitted bool, id uint64) {
	if c.state == Open && e.now >= c.until {
		c = c.enter(HalfOpen, c.why, e.now)
	}
	switch c.state {
	case Open:
		return c, false, 0
	case HalfOpen:
		return r.probe(c, e.now)
	case Ramping:
		return c, float64(e.roll) < r.share(c, e.now)*(1<<32), 0
	default:
		return c, true, 0
	}
}

// probe gives out a slot, if one is free: as many as there are probes, less those that have reported.
func (r *rules) probe(c core, now int64) (next core, admitted bool, id uint64) {
	free, taken := -1, 0
	for i := range r.probes {
		switch s := c.slots[i]; {
		case s.id != 0 && now < s.deadline:
			taken++
		case free < 0:
			free = i
		}
	}
	if free < 0 || taken+c.reported >= r.probes {
		return c, false, 0
	}
	c.lastID++
	c.slots[free] = slot{id: c.lastID, deadline: now + r.probeTimeout}
	return c, true, c.lastID
}

// share is how much a ramp lets through at now.
func (r *rules) share(c core, now int64) float64 {
	const first = 0.05
	return first + (1-first)*float64(now-c.since)/float64(r.ramp)
}

// report counts a probe that has its slot still. The verdict is by the same rates as in the window, as soon
// as the probes that are missing cannot change it.
func (r *rules) report(c core, e event) core {
	if c.state != HalfOpen || e.slot == 0 {
		return c
	}
	i := 0
	for ; i < r.probes && c.slots[i].id != e.slot; i++ {
	}
	if i == r.probes || e.now >= c.slots[i].deadline {
		return c
	}
	c.slots[i] = slot{}
	if e.outcome == Ignored {
		return c
	}
	c.reported++
	if e.outcome == Failure {
		c.failed++
	}
	if e.slow {
		c.slow++
	}
	all, missing := int64(r.probes), int64(r.probes-c.reported)
	failed, slow := int64(c.failed), int64(c.slow)
	switch {
	case r.reached(Counts{Calls: all, Failed: failed, Slow: slow}) != "":
		return r.open(c, r.reached(Counts{Calls: all, Failed: failed, Slow: slow}), e)
	case r.reached(Counts{Calls: all, Failed: failed + missing, Slow: slow + missing}) != "":
		return c
	case r.ramp > 0:
		c = c.enter(Ramping, Recovered, e.now)
		c.until = e.now + r.ramp
		return c
	default:
		return c.enter(Closed, Recovered, e.now)
	}
}

func (r *rules) judge(c core, e event) core {
	atLeast := r.minCalls
	switch {
	case e.number < c.from || c.state != Closed && c.state != Ramping:
		return c
	case c.state == Ramping:
		atLeast = r.rampMinCalls
	}
	if why := r.reached(e.counts); why != "" && e.counts.Calls >= atLeast {
		return r.open(c, why, e)
	}
	return c
}

// reached returns which rate the counts have reached, or "". It divides, because seven hundredths times a
// hundred are more than seven.
func (r *rules) reached(n Counts) Reason {
	calls := float64(n.Calls)
	switch {
	case float64(n.Failed)/calls >= r.failureRate:
		return TooManyFailures
	case r.slowRate > 0 && float64(n.Slow)/calls >= r.slowRate:
		return TooManySlow
	default:
		return ""
	}
}

// decide follows a decision once. Whoever is open or trying already knows better.
func (r *rules) decide(c core, e event) core {
	if e.decision <= c.heard {
		return c
	}
	c.heard = e.decision
	if c.state == Closed || c.state == Ramping {
		return r.open(c, Decided, e)
	}
	return c
}

// open opens, for longer each time until it has stayed closed for a while.
func (r *rules) open(c core, why Reason, e event) core {
	if c.state == Closed && e.now-c.since >= r.maxOpenFor {
		c.trips = 0
	}
	d := r.openTime(c.trips, e.roll)
	c = c.enter(Open, why, e.now)
	c.until = e.now + d
	if c.trips < math.MaxUint8 {
		c.trips++
	}
	return c
}

// openTime doubles with each trip up to the longest, less a random part of up to a fifth: many that
// opened together do not try together.
func (r *rules) openTime(trips uint8, roll uint32) int64 {
	d := r.maxOpenFor
	if bits.Len64(uint64(r.openFor))+int(trips) < 63 {
		d = min(d, r.openFor<<trips)
	}
	less, _ := bits.Mul64(uint64(d/5), uint64(roll)<<32)
	return d - int64(less)
}
