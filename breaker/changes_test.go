package breaker_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

// tally counts breakers by what hooks tell of changes.
type tally struct {
	mu     sync.Mutex
	states map[breaker.State]int
	modes  map[breaker.Mode]int
}

func (n *tally) changed(i breaker.Info) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.states[i.From]--
	n.states[i.State]++
	if i.Reason == breaker.Forced {
		n.modes[i.FromMode]--
		n.modes[i.Mode]++
	}
}

// The states and modes that changes go from and to add up, whoever changes what at the same time.
func TestChangesAddUp(t *testing.T) {
	for name, o := range map[string]breaker.Options{
		"own":       {MinCalls: 1, Probes: 1, OpenFor: time.Millisecond, Ramp: time.Millisecond},
		"gobreaker": {Engine: gobreakerengine.New(gobreaker.Settings{Timeout: time.Millisecond, Interval: time.Second}, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			n := &tally{
				states: map[breaker.State]int{breaker.Closed: 1, breaker.Open: 0, breaker.HalfOpen: 0, breaker.Ramping: 0},
				modes:  map[breaker.Mode]int{breaker.Automatic: 1, breaker.ObserveOnly: 0, breaker.ForcedOpen: 0, breaker.ForcedClosed: 0},
			}
			o.Hooks = &breaker.Hooks{Changed: n.changed}
			b := newBreaker(t, &o)
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() { calls(t.Context(), b, i) })
			}
			for _, force := range []func(){b.Reset, b.ForceOpen, b.ForceClose, b.ObserveOnly} {
				all.Go(func() {
					for range 10_000 {
						force()
					}
				})
			}
			all.Wait()
			b.ForceOpen()
			if n.modes[breaker.ForcedOpen] != 1 {
				t.Errorf("modes: %v", n.modes)
			}
			b.Reset()
			if want := map[breaker.State]int{breaker.Closed: 1, breaker.Open: 0, breaker.HalfOpen: 0, breaker.Ramping: 0}; !maps.Equal(n.states, want) {
				t.Errorf("states: %v", n.states)
			}
			if want := map[breaker.Mode]int{breaker.Automatic: 1, breaker.ObserveOnly: 0, breaker.ForcedOpen: 0, breaker.ForcedClosed: 0}; !maps.Equal(n.modes, want) {
				t.Errorf("modes: %v", n.modes)
			}
		})
	}
}

// calls makes calls that fail and calls that go well in turn.
func calls(ctx context.Context, b *breaker.Breaker, first int) {
	for i := range 50_000 {
		p, err := b.Acquire(ctx)
		switch {
		case err != nil:
		case (first+i/20)%2 == 0:
			p.Report(breaker.Failure)
		default:
			p.Report(breaker.Success)
		}
	}
}

// Ended says of a call that it was slow, also if it went well.
func TestSlowCallsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow []bool
		b := newBreaker(t, &breaker.Options{SlowAfter: time.Second, Hooks: &breaker.Hooks{
			Ended: func(_ context.Context, i breaker.Info) { slow = append(slow, i.Slow) },
		}})
		for _, d := range []time.Duration{time.Second, time.Second + 1} {
			p := acquire(t, b)
			time.Sleep(d)
			p.Done(nil)
		}
		if len(slow) != 2 || slow[0] || !slow[1] {
			t.Errorf("slow: %v", slow)
		}
	})
}
