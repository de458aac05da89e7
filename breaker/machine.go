package breaker

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// machine is the engine of this package: the state as one pointer to a value that never changes, replaced
// by compare-and-swap. It has no lock, no timer and no goroutine; time passes when somebody calls.
type machine struct {
	rules
	slowAfter int64 // 0: slow calls are not judged
	timeless  bool  // neither the window nor slowAfter needs the time of an outcome
	attended  bool  // the beginning of a call matters, to slowAfter or the voter
	name, key string
	epoch     time.Time
	newWindow func() window
	voter     Voter
	changed   func(from, to *phase, n Counts)
	phase     atomic.Pointer[phase]
}

// phase is the state and what belongs to it.
type phase struct {
	core
	window window         // Closed, Ramping
	refuse *RejectedError // every other one; made once, so that a rejection costs no memory
}

// start makes the machine ready, closed.
func (m *machine) start() {
	m.epoch = time.Now()
	m.phase.Store(&phase{window: m.newWindow()})
}

// now is the machine's clock. It is monotonic, and the one costly thing on the path of a call.
func (m *machine) now() int64 { return int64(time.Since(m.epoch)) }

// plain returns the phase if it is closed and a call has nothing to ask but where it counts. That is nearly
// every call, so this is short enough to be inlined.
func (m *machine) plain() *phase {
	if ph := m.phase.Load(); ph.state == Closed && !m.attended {
		return ph
	}
	return nil
}

// ask lets a call through, or says why not.
func (m *machine) ask(p *Permit) *RejectedError {
	ph := m.phase.Load()
	if m.voter != nil {
		ph = m.follow(ph)
	}
	if ph.state == Closed {
		p.phase = ph
		if m.slowAfter > 0 {
			p.start = m.now()
		}
		return nil
	}
	now := m.now()
	if ph.state == Open && now < ph.until {
		return ph.refuse
	}
	return m.trial(p, now)
}

// follow asks the voter for a decision that is new.
func (m *machine) follow(ph *phase) *phase {
	if d := m.voter.Opened(); d > ph.heard {
		ph, _, _ = m.step(event{kind: decided, now: m.now(), roll: rand.Uint32(), decision: d})
	}
	return ph
}

// trial asks the rules.
func (m *machine) trial(p *Permit, now int64) *RejectedError {
	ph, admitted, id := m.step(event{kind: asked, now: now, roll: rand.Uint32()})
	if !admitted {
		return ph.refuse
	}
	p.phase, p.slot, p.start = ph, id, now
	return nil
}

// report takes the outcome of a call that was let through. What is late goes into a window that nobody
// looks at any more, or finds no slot. It returns how long the call took, if it was measured.
func (m *machine) report(p *Permit, o Outcome) (took time.Duration) {
	if p.slot != 0 {
		return m.reportProbe(p, o)
	}
	if o == Ignored {
		return 0
	}
	w := p.phase.window
	if m.timeless && o == Success {
		w.record(0, false, false)
		return 0
	}
	now := m.now()
	took, slow := m.took(p, now)
	w.record(now, o == Failure, slow)
	if o == Failure || slow { // a call that went well opens nothing
		m.judge(p.phase, now)
	}
	return took
}

func (m *machine) reportProbe(p *Permit, o Outcome) time.Duration {
	now := m.now()
	took, slow := m.took(p, now)
	m.step(event{kind: reported, now: now, roll: rand.Uint32(), slot: p.slot, outcome: o, slow: slow})
	return took
}

// took measures the call, if that matters.
func (m *machine) took(p *Permit, now int64) (took time.Duration, slow bool) {
	if m.slowAfter == 0 {
		return 0, false
	}
	return time.Duration(now - p.start), now-p.start > m.slowAfter
}

// judge takes the counts to the rules only if there is something to judge.
func (m *machine) judge(ph *phase, now int64) {
	n := ph.window.counts(now)
	if n.Calls >= m.rampMinCalls && m.reached(n) != "" {
		m.step(event{kind: judged, now: now, roll: rand.Uint32(), number: ph.number, counts: n})
	}
}

// step applies the event and returns the phase that answers it.
func (m *machine) step(e event) (now *phase, admitted bool, id uint64) {
	for {
		old := m.phase.Load()
		next, admitted, id := m.rules.step(old.core, e)
		if next == old.core {
			return old, admitted, id
		}
		ph := m.dress(old, next)
		if !m.phase.CompareAndSwap(old, ph) {
			continue
		}
		if old.number != next.number {
			m.changed(old, ph, judgedBy(old, e))
		}
		return ph, admitted, id
	}
}

// reset begins anew, and returns the phase that this ended and the new one. Who asked for it tells of it.
func (m *machine) reset() (ended, now *phase) {
	for {
		old := m.phase.Load()
		next, _, _ := m.rules.step(old.core, event{kind: reset, now: m.now()})
		if ph := m.dress(old, next); m.phase.CompareAndSwap(old, ph) {
			return old, ph
		}
	}
}

// judgedBy returns the counts that made the difference.
func judgedBy(old *phase, e event) Counts {
	if e.kind != reported {
		return e.counts
	}
	n := Counts{Calls: int64(old.reported) + 1, Failed: int64(old.failed), Slow: int64(old.slow)}
	if e.outcome == Failure {
		n.Failed++
	}
	if e.slow {
		n.Slow++
	}
	return n
}

// dress gives a new core its window and its refusal. Calls that count together share a window.
func (m *machine) dress(old *phase, c core) *phase {
	ph := &phase{core: c, window: old.window, refuse: old.refuse}
	if c.from != old.from {
		ph.window = nil
		if c.state == Closed || c.state == Ramping {
			ph.window = m.newWindow()
		}
	}
	if c.number == old.number {
		return ph
	}
	switch c.state {
	case Closed:
		ph.refuse = nil
	case Open:
		ph.refuse = m.refusal(Open, c.why, m.epoch.Add(time.Duration(c.until)))
	case HalfOpen:
		ph.refuse = m.refusal(HalfOpen, Probing, time.Time{})
	case Ramping:
		ph.refuse = m.refusal(Ramping, Recovering, time.Time{})
	}
	return ph
}

func (m *machine) refusal(s State, why Reason, until time.Time) *RejectedError {
	return &RejectedError{Name: m.name, Key: m.key, State: s, Reason: why, until: until}
}

// counts returns what the window holds: for HalfOpen, what the probes have reported.
func (m *machine) counts(ph *phase) Counts {
	if ph.window == nil {
		return Counts{Calls: int64(ph.reported), Failed: int64(ph.failed), Slow: int64(ph.slow)}
	}
	return ph.window.counts(m.now())
}
