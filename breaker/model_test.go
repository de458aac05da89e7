package breaker_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
)

const (
	modelCalls = 8 // size of the window
	modelMin   = 4
)

// model is the breaker as plainly as it can be written, with a window of the last calls and no ramp. It hears
// from a hook how long the breaker is open, which is random, and checks the bounds.
type model struct {
	t       *testing.T
	state   breaker.State
	window  []breaker.Outcome
	until   time.Time
	closed  time.Time     // since when
	openFor time.Duration // the whole of the next open time
	slots   map[int]time.Time
	good    int
	bad     int
	round   int // of permits
	told    time.Duration
}

// modelPermit is a call under way.
type modelPermit struct {
	permit *breaker.Permit
	round  int
	slot   int // of a probe, else 0
}

func (m *model) enter(s breaker.State) {
	m.state = s
	m.round++
	m.window, m.slots, m.good, m.bad = nil, map[int]time.Time{}, 0, 0
	switch s {
	case breaker.Closed:
		m.closed = time.Now()
	case breaker.Open:
		if m.told > m.openFor || m.told < m.openFor*8/10 {
			m.t.Fatalf("open for %v, want about %v", m.told, m.openFor)
		}
		m.until = time.Now().Add(m.told)
		m.openFor = min(2*m.openFor, modelMaxOpen)
	}
}

const modelMaxOpen = 8 * time.Second

func (m *model) open() {
	if m.state == breaker.Closed && time.Since(m.closed) >= modelMaxOpen {
		m.openFor = time.Second
	}
	m.enter(breaker.Open)
}

// ask says whether a call is let through, and under which slot.
func (m *model) ask(id int) (admitted bool, slot int) {
	if m.state == breaker.Open && !time.Now().Before(m.until) {
		m.enter(breaker.HalfOpen)
	}
	switch m.state {
	case breaker.Closed:
		return true, 0
	case breaker.HalfOpen:
		for id, deadline := range m.slots {
			if !time.Now().Before(deadline) {
				delete(m.slots, id)
			}
		}
		if len(m.slots)+m.good+m.bad < probes {
			m.slots[id] = time.Now().Add(probeTimeout)
			return true, id
		}
	}
	return false, 0
}

func (m *model) end(p modelPermit, o breaker.Outcome) {
	if p.round != m.round {
		return
	}
	if m.state == breaker.HalfOpen {
		deadline, there := m.slots[p.slot]
		if !there || !time.Now().Before(deadline) {
			return
		}
		delete(m.slots, p.slot)
		switch o {
		case breaker.Success:
			m.good++
		case breaker.Failure:
			m.bad++
		}
		switch { // half of three: two
		case m.bad == 2:
			m.open()
		case m.good == 2:
			m.enter(breaker.Closed)
		}
		return
	}
	if o == breaker.Ignored {
		return
	}
	m.window = append(m.window, o)
	m.window = m.window[max(0, len(m.window)-modelCalls):]
	if n := m.counts(); o == breaker.Failure && n.Calls >= modelMin && 2*n.Failed >= n.Calls {
		m.open()
	}
}

func (m *model) counts() breaker.Counts {
	n := breaker.Counts{Calls: int64(len(m.window))}
	for _, o := range m.window {
		if o == breaker.Failure {
			n.Failed++
		}
	}
	return n
}

// TestModel does random things to a breaker and to the model: outcomes that are late, lost and
// repeated, panics, ends of goroutines, cancelled callers. Both must agree after each.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			m := &model{t: t, openFor: time.Second}
			b := newBreaker(t, &breaker.Options{
				Calls: modelCalls, MinCalls: modelMin, Probes: probes, ProbeTimeout: probeTimeout,
				OpenFor: time.Second, MaxOpenFor: modelMaxOpen,
				Hooks: &breaker.Hooks{Changed: func(i breaker.Info) { m.told = i.OpenFor }},
			})
			m.enter(breaker.Closed)
			var under, ended []modelPermit
			good := rnd.Float64()
			for i := range 3000 {
				if rnd.IntN(200) == 0 {
					good = rnd.Float64()
				}
				outcome := breaker.Failure
				if rnd.Float64() < good {
					outcome = breaker.Success
				}
				if rnd.IntN(8) == 0 {
					outcome = breaker.Ignored
				}
				switch op := rnd.IntN(20); {
				case op < 8:
					p, err := b.Acquire(t.Context())
					admitted, slot := m.ask(i + 1)
					if admitted != (err == nil) {
						t.Fatalf("seed %d, step %d: %v, model %v in %v", seed, i, err, admitted, m.state)
					}
					if err == nil {
						under = append(under, modelPermit{&p, m.round, slot})
					}
				case op < 14 && len(under) > 0:
					at := rnd.IntN(len(under))
					p := under[at]
					under = slices.Delete(under, at, at+1)
					ended = append(ended, p)
					p.permit.Report(outcome)
					m.end(p, outcome)
				case op < 15 && len(under) > 0: // lost
					under = under[1:]
				case op < 16 && len(ended) > 0: // repeated
					ended[rnd.IntN(len(ended))].permit.Report(outcome)
				case op < 18:
					by, outcome := leaving(rnd.IntN(3))
					admitted, slot := m.ask(i + 1)
					ctx, cancel := context.WithCancel(t.Context())
					called := leaveWith(ctx, b, func() { by(cancel) })
					cancel()
					if called != admitted {
						t.Fatalf("seed %d, step %d: called %v, model %v in %v", seed, i, called, admitted, m.state)
					}
					if called {
						m.end(modelPermit{nil, m.round, slot}, outcome)
					}
				default:
					time.Sleep(time.Duration(rnd.Int64N(int64(time.Second))))
				}
				if b.State() != m.state {
					t.Fatalf("seed %d, step %d: %v, model %v", seed, i, b.State(), m.state)
				}
				if n := b.Counts(); m.state == breaker.Closed && n != m.counts() {
					t.Fatalf("seed %d, step %d: %+v, model %+v", seed, i, n, m.counts())
				}
			}
		})
	}
}

// leaving returns a way to leave a call, and what that means.
func leaving(way int) (by func(context.CancelFunc), o breaker.Outcome) {
	switch way {
	case 0:
		return func(context.CancelFunc) { panic("in a call") }, breaker.Failure
	case 1:
		return func(context.CancelFunc) { runtime.Goexit() }, breaker.Failure
	default:
		return func(cancel context.CancelFunc) { cancel() }, breaker.Ignored
	}
}

// leaveWith makes a call in a goroutine of its own, and says whether it was let through.
func leaveWith(ctx context.Context, b *breaker.Breaker, by func()) (called bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		_, _ = breaker.Do(ctx, b, func(context.Context) (int, error) {
			called = true
			by()
			return 0, errCall
		})
	}()
	<-done
	return called
}

// TestManyGoroutines lets goroutines do everything at once, for the race detector. Afterwards it must
// close again.
func TestManyGoroutines(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := e.options()
				var b *breaker.Breaker
				var refused atomic.Int64
				o.Hooks = &breaker.Hooks{
					Changed:  func(i breaker.Info) { b.Counts() },
					Rejected: func(context.Context, breaker.Info) { refused.Add(1) },
				}
				b = newBreaker(t, o)
				var wg sync.WaitGroup
				for g := range 16 {
					wg.Go(func() {
						rnd := rand.New(rand.NewPCG(uint64(g), 9))
						for range 400 {
							if p, err := b.Acquire(t.Context()); err == nil {
								time.Sleep(time.Duration(rnd.Int64N(2 * int64(probeTimeout))))
								p.Report([]breaker.Outcome{breaker.Success, breaker.Failure, breaker.Failure, breaker.Ignored}[rnd.IntN(4)])
							}
							time.Sleep(time.Duration(rnd.Int64N(int64(time.Second / 4))))
						}
					})
				}
				wg.Wait()
				if refused.Load() == 0 {
					t.Error("nothing was rejected")
				}
				recovers(t, b)
			})
		})
	}
}

// recovers lets only good calls come, and time pass.
func recovers(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	for range 10 {
		time.Sleep(probeTimeout + openFor)
		for range probes {
			if p, err := b.Acquire(t.Context()); err == nil {
				p.Done(nil)
			}
		}
	}
	want(t, b, breaker.Closed)
}
