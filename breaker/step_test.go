package breaker

import (
	"fmt"
	"slices"
	"testing"
)

// small are rules with so few values that every state can be visited: times are single ticks.
func small(probes int, ramp int64) *rules {
	return &rules{
		failureRate: 0.5, slowRate: 1, minCalls: 3, rampMinCalls: 1,
		openFor: 2, maxOpenFor: 4, probes: probes, probeTimeout: 3, ramp: ramp,
	}
}

// held is a call that was let through and has not reported yet.
type held struct{ number, slot uint64 }

// world is a state and the calls that are under way: what the exhaustive test walks through.
type world struct {
	c     core
	now   int64
	calls []held
}

const mostCalls = 4 // three live probes and one that is late

// move is one thing that can happen to a world.
type move struct {
	name string
	next world
}

// key is the same for worlds that behave the same: instants relative to now, ids and numbers relative to
// those in force, and no more of the past than the rules look at.
func (w world) key(r *rules) string {
	left := func(at int64) int64 { return max(at-w.now, 0) }
	var late, expired, counted bool // of those that are alike, one is as good as many
	var probes []int64
	for _, h := range w.calls {
		switch i := w.slotOf(h); {
		case h.number < w.c.from:
			late = true
		case h.slot != 0 && i < 0:
			expired = true
		case h.slot != 0:
			probes = append(probes, left(w.c.slots[i].deadline))
		default:
			counted = true
		}
	}
	slices.Sort(probes)
	var slots []int64
	for _, s := range w.c.slots[:r.probes] {
		slots = append(slots, left(s.deadline))
	}
	slices.Sort(slots)
	stable := w.c.state == Closed && w.now-w.c.since >= r.maxOpenFor
	age := int64(0)
	if w.c.state == Closed && !stable {
		age = w.now - w.c.since
	}
	trips := min(w.c.trips, 3)
	if stable {
		trips = 0
	}
	return fmt.Sprint(w.c.state, age, left(w.c.until), trips, slots, w.c.reported, w.c.failed, w.c.slow, late, expired, counted, probes)
}

// slotOf returns the live slot that a call has, or -1.
func (w world) slotOf(h held) int {
	return slices.IndexFunc(w.c.slots[:], func(s slot) bool {
		return h.slot != 0 && s.id == h.slot && s.deadline > w.now
	})
}

// moves returns everything that can happen next. A call may report well, badly, slowly or as ignored,
// report and be repeated later (it stays), or be lost (it goes).
func (w world) moves(r *rules) []move {
	all := []move{{"time", world{w.c, w.now + 1, w.calls}}}
	add := func(name string, e event, calls []held) {
		e.now = w.now
		c, admitted, id := r.step(w.c, e)
		if admitted {
			calls = append(slices.Clone(calls), held{c.number, id})
		}
		all = append(all, move{name, world{c, w.now, calls}})
	}
	if len(w.calls) < mostCalls { // the others wait
		add("ask, low roll", event{kind: asked, roll: 0}, w.calls)
		add("ask, high roll", event{kind: asked, roll: 1<<32 - 1}, w.calls)
	}
	for i, h := range w.calls {
		gone := slices.Delete(slices.Clone(w.calls), i, i+1)
		all = append(all, move{"lost", world{w.c, w.now, gone}})
		for _, o := range []Outcome{Success, Failure, Ignored} {
			for _, slow := range []bool{false, true} {
				e := event{kind: reported, slot: h.slot, outcome: o, slow: slow}
				add(fmt.Sprint("report ", o, slow), e, gone)
				add(fmt.Sprint("report, to be repeated ", o, slow), e, w.calls)
			}
		}
		for _, n := range []Counts{{Calls: 2, Failed: 2}, {Calls: 4, Failed: 1}, {Calls: 4, Failed: 2}, {Calls: 4, Slow: 4}} {
			add(fmt.Sprint("judge ", n), event{kind: judged, number: h.number, counts: n}, w.calls)
		}
	}
	add("decided", event{kind: decided, decision: w.c.heard + 1}, w.calls)
	add("old decision", event{kind: decided, decision: w.c.heard}, w.calls)
	add("reset", event{kind: reset}, w.calls)
	return all
}

// edges are the changes of state that there may be in one step. Two at once happen where time has passed
// unseen.
var edges = map[[2]State]bool{
	{Closed, Open}:      true,
	{Open, HalfOpen}:    true,
	{HalfOpen, Open}:    true,
	{HalfOpen, Closed}:  true, // without a ramp
	{HalfOpen, Ramping}: true,
	{Ramping, Closed}:   true,
	{Ramping, Open}:     true,
}

// checkMove returns what is wrong with a move.
func (w world) checkMove(r *rules, m move) string {
	from, to := w.c, m.next.c
	live := 0
	for _, s := range to.slots {
		if s.id != 0 && s.deadline > m.next.now {
			live++
		}
	}
	changed := from.state != to.state
	switch {
	case changed && m.name != "reset" && !edges[[2]State{from.state, to.state}]:
		return "no such edge"
	case changed && to.number <= from.number:
		return "a change without a number"
	case to.number < from.number || to.from < from.from || to.heard < from.heard:
		return "a number goes back"
	case live+to.reported > r.probes:
		return "more probes than slots"
	case to.state == Open && to.until-to.since > r.maxOpenFor:
		return "open for too long"
	case to.state == HalfOpen && to.reported == r.probes:
		return "no verdict of all probes"
	case changed && m.name == "old decision" && from.state != Ramping:
		return "followed twice"
	case changed && m.name == "time":
		return "it moves alone"
	}
	return ""
}

// TestStepExhaustively visits every state that a small machine can reach, whatever calls do and in
// whatever order, and shows that none is wrong and that each has a way back to closed.
func TestStepExhaustively(t *testing.T) {
	for _, probes := range []int{1, 2, 3} {
		for _, ramp := range []int64{0, 2} {
			t.Run(fmt.Sprintf("probes=%d/ramp=%d", probes, ramp), func(t *testing.T) {
				r := small(probes, ramp)
				states, found := walk(t, r)
				for _, w := range states {
					checkLate(t, r, w)
					checkRecovers(t, r, w)
				}
				for e := range edges {
					ramped := e[0] == Ramping || e[1] == Ramping
					direct := e == [2]State{HalfOpen, Closed}
					if possible := !ramped && !direct || (ramp > 0) == ramped; found[e] != possible {
						t.Errorf("from %v to %v: %v, want %v", e[0], e[1], found[e], possible)
					}
				}
				t.Logf("%d states", len(states))
			})
		}
	}
}

// walk visits all states, and returns them and the edges that it went.
func walk(t *testing.T, r *rules) (states map[string]world, found map[[2]State]bool) {
	t.Helper()
	states = map[string]world{world{}.key(r): {}}
	found = make(map[[2]State]bool)
	for queue := []world{{}}; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		for _, m := range w.moves(r) {
			if bad := w.checkMove(r, m); bad != "" {
				t.Fatalf("%s: %s:\n%+v\n%+v", m.name, bad, w, m.next)
			}
			if w.c.state != m.next.c.state && m.name != "reset" {
				found[[2]State{w.c.state, m.next.c.state}] = true
			}
			key := m.next.key(r)
			if _, known := states[key]; !known {
				states[key] = m.next
				queue = append(queue, m.next)
			}
		}
	}
	return states, found
}

// checkLate shows that a call which is late, or has no slot any more, changes nothing.
func checkLate(t *testing.T, r *rules, w world) {
	t.Helper()
	for _, h := range w.calls {
		if h.number >= w.c.from && (h.slot == 0 || w.slotOf(h) >= 0) {
			continue
		}
		for _, kind := range []eventKind{reported, judged} {
			if kind == judged && h.number >= w.c.from {
				continue // a judgement is of the window, not of a slot
			}
			e := event{kind: kind, now: w.now, number: h.number, slot: h.slot, outcome: Failure, counts: Counts{Calls: 9, Failed: 9}}
			next, _, _ := r.step(w.c, e)
			settled := w.c
			if settled.state == Ramping && w.now >= settled.until {
				settled = settled.finishRamp()
			}
			if next != settled {
				t.Fatalf("a late call changes\n%+v\n%+v", w.c, next)
			}
		}
	}
}

// checkRecovers shows that calls which go well close it in bounded time, even if every call before is lost.
func checkRecovers(t *testing.T, r *rules, w world) {
	t.Helper()
	c := w.c
	end := w.now + r.maxOpenFor + r.probeTimeout + r.ramp
	for now := w.now; now <= end; now++ {
		for range r.probes {
			next, admitted, id := r.step(c, event{kind: asked, now: now})
			c = next
			if admitted && id != 0 {
				c, _, _ = r.step(c, event{kind: reported, now: now, slot: id, outcome: Success})
			}
		}
	}
	if c.state != Closed {
		t.Fatalf("it does not close again: from %+v to %+v", w, c)
	}
}

func TestOpenTimeGrowsAndIsReset(t *testing.T) {
	r := &rules{failureRate: 0.5, minCalls: 1, openFor: 100, maxOpenFor: 700, probes: 1, probeTimeout: 10}
	var c core
	now := int64(0)
	bad := func() {
		c, _, _ = r.step(c, event{kind: judged, now: now, number: c.number, counts: Counts{Calls: 1, Failed: 1}})
	}
	probe := func(o Outcome) {
		now = c.until
		next, admitted, id := r.step(c, event{kind: asked, now: now})
		if !admitted {
			t.Fatalf("no probe at its time: %+v", c)
		}
		c, _, _ = r.step(next, event{kind: reported, now: now, slot: id, outcome: o})
	}
	bad()
	for i, want := range []int64{100, 200, 400, 700, 700, 700} {
		if got := c.until - c.since; c.state != Open || got != want {
			t.Errorf("opening %d: %v for %d, want %d", i, c.state, got, want)
		}
		probe(Failure)
	}
	probe(Success)
	now += r.maxOpenFor - 1
	bad()
	if got := c.until - c.since; got != 700 {
		t.Errorf("open for %d after a short close, want 700", got)
	}
	probe(Success)
	now += r.maxOpenFor
	bad()
	if got := c.until - c.since; got != 100 {
		t.Errorf("open for %d after a stable close, want 100", got)
	}
}

func TestOpenTimeIsBounded(t *testing.T) {
	r := &rules{openFor: 1_000_000, maxOpenFor: int64(maxTime)}
	for trips := range 256 {
		for _, roll := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
			whole, got := r.openTime(uint8(trips), 0), r.openTime(uint8(trips), roll)
			if got > whole || got < whole-whole/5 || whole > r.maxOpenFor || whole < r.openFor {
				t.Errorf("trip %d, roll %d: %d of %d", trips, roll, got, whole)
			}
		}
	}
}

func TestShareOfRamp(t *testing.T) {
	r := &rules{ramp: 100}
	c := core{state: Ramping, since: 1000, until: 1100}
	for _, at := range []struct {
		now  int64
		want float64
	}{{1000, 0.05}, {1050, 0.525}, {1099, 0.9905}} {
		if got := r.share(c, at.now); got < at.want-1e-9 || got > at.want+1e-9 {
			t.Errorf("at %d: %v, want %v", at.now, got, at.want)
		}
		below, over := uint32(at.want*(1<<32))-10, uint32(at.want*(1<<32))+10
		if _, admitted, _ := r.step(c, event{kind: asked, now: at.now, roll: below}); !admitted {
			t.Errorf("at %d: rejected with a roll in the share", at.now)
		}
		if _, admitted, _ := r.step(c, event{kind: asked, now: at.now, roll: over}); admitted {
			t.Errorf("at %d: let through with a roll out of the share", at.now)
		}
	}
}

// TestVerdictOfProbes pins at which report the probes decide.
func TestVerdictOfProbes(t *testing.T) {
	for _, c := range []struct {
		probes  int
		rate    float64
		reports string // s success, f failure, l slow success, i ignored
		want    State
	}{
		{1, 0.5, "s", Closed}, {1, 0.5, "f", Open}, {1, 0.5, "i", HalfOpen}, {1, 1, "f", Open},
		{3, 0.5, "s", HalfOpen}, {3, 0.5, "ss", Closed}, {3, 0.5, "f", HalfOpen},
		{3, 0.5, "ff", Open}, {3, 0.5, "fss", Closed}, {3, 0.5, "fsf", Open}, {3, 0.5, "fis", HalfOpen},
		{3, 0.1, "f", Open}, {3, 0.1, "ss", HalfOpen}, {3, 1, "ff", HalfOpen}, {3, 1, "ffs", Closed},
		{2, 0.5, "l", HalfOpen}, {2, 0.5, "ll", Open}, {2, 0.5, "ls", Closed},
	} {
		r := &rules{failureRate: c.rate, slowRate: 0.9, minCalls: 1, openFor: 1, maxOpenFor: 1, probes: c.probes, probeTimeout: 10}
		state := core{state: Open}
		for i, report := range c.reports {
			next, admitted, id := r.step(state, event{kind: asked, now: 5})
			if !admitted {
				t.Fatalf("%+v: probe %d rejected", c, i)
			}
			e := event{kind: reported, now: 6, slot: id, slow: report == 'l'}
			switch report {
			case 'f':
				e.outcome = Failure
			case 'i':
				e.outcome = Ignored
			}
			state, _, _ = r.step(next, e)
		}
		if state.state != c.want {
			t.Errorf("%d probes, rate %v, %q: %v, want %v", c.probes, c.rate, c.reports, state.state, c.want)
		}
	}
}

// TestRatesAreReachedExactly tries every rate of whole hundredths.
func TestRatesAreReachedExactly(t *testing.T) {
	for hundredths := int64(1); hundredths <= 100; hundredths++ {
		r := &rules{failureRate: float64(hundredths) / 100}
		for _, calls := range []int64{100, 200, 1000} {
			failed := hundredths * calls / 100
			if r.reached(Counts{Calls: calls, Failed: failed}) != TooManyFailures {
				t.Errorf("%d of %d do not reach %v", failed, calls, r.failureRate)
			}
			if r.reached(Counts{Calls: calls, Failed: failed - 1}) != "" {
				t.Errorf("%d of %d reach %v", failed-1, calls, r.failureRate)
			}
		}
	}
	if (&rules{failureRate: 0.5, slowRate: 0.5}).reached(Counts{}) != "" {
		t.Error("no calls reach a rate")
	}
}
