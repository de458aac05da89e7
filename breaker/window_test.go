package breaker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestTimeWindowAgreesWithAList compares with a list of all calls. The window may forget a call up to
// one slot early, and counts in whole slots.
func TestTimeWindowAgreesWithAList(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		span := time.Duration(rnd.Int64N(int64(time.Minute))) + minWindow
		w := newTimeWindow(span)
		step := int64(1) << w.shift
		if w.look < ticks/2 || w.look > ticks || int64(w.look)*step < int64(span) || step > int64(span)/(ticks/2) {
			t.Fatalf("%v: %d slots of %d", span, w.look, step)
		}
		type one struct {
			tick         int64
			failed, slow bool
		}
		var all []one
		now := rnd.Int64N(int64(time.Hour))
		for range 1000 {
			switch rnd.IntN(20) {
			case 0:
				now += rnd.Int64N(3 * int64(span))
			default:
				now += rnd.Int64N(step/8 + 1)
			}
			c := one{now / step, rnd.IntN(3) == 0, rnd.IntN(5) == 0}
			w.record(now, c.failed, c.slow)
			all = append(all, c)
			var want Counts
			for _, c := range all {
				if now/step-c.tick >= int64(w.look) {
					continue
				}
				want.Calls++
				if c.failed {
					want.Failed++
				}
				if c.slow {
					want.Slow++
				}
			}
			if got := w.counts(now); got != want {
				t.Fatalf("seed %d at %d: %+v, want %+v", seed, now, got, want)
			}
		}
	}
}

func TestCallWindowAgreesWithAList(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		n := 1 + rnd.IntN(20)
		w := newCallWindow(n)
		var failed, slow []bool
		for range 500 {
			f, s := rnd.IntN(2) == 0, rnd.IntN(4) == 0
			w.record(0, f, s)
			failed, slow = append(failed, f), append(slow, s)
			from := max(0, len(failed)-n)
			want := Counts{Calls: int64(len(failed) - from), Failed: count(failed[from:]), Slow: count(slow[from:])}
			if got := w.counts(0); got != want {
				t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
			}
		}
	}
}

func count(all []bool) (n int64) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// TestWindowsLoseNothing counts what many goroutines record at once.
func TestWindowsLoseNothing(t *testing.T) {
	const goroutines, each = 8, 5000
	for name, w := range map[string]window{
		"time": newTimeWindow(time.Hour), "calls": newCallWindow(goroutines * each),
	} {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if n := w.counts(5); n.Failed > n.Calls || n.Slow > n.Calls || n.Failed < 0 || n.Slow < 0 {
					t.Errorf("%s: seen %+v", name, n)
					return
				}
			}
		})
		var writers sync.WaitGroup
		for range goroutines {
			writers.Go(func() {
				for i := range each {
					w.record(5, i%2 == 0, i%5 == 0)
				}
			})
		}
		writers.Wait()
		close(stop)
		wg.Wait()
		want := Counts{Calls: goroutines * each, Failed: goroutines * each / 2, Slow: goroutines * each / 5}
		if got := w.counts(5); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestCallWindowStaysExactWhenItIsOverwritten lets goroutines overwrite each other's marks all the time.
func TestCallWindowStaysExactWhenItIsOverwritten(t *testing.T) {
	w := newCallWindow(7)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 3))
			for range 5000 {
				w.record(0, rnd.IntN(2) == 0, rnd.IntN(2) == 0)
			}
		})
	}
	wg.Wait()
	want := Counts{Calls: 7}
	for i := range w.marks {
		mark := w.marks[i].Load()
		want.Failed += int64(mark & markFailed)
		want.Slow += int64(mark & markSlow / markSlow)
	}
	if got := w.counts(0); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTally(t *testing.T) {
	var n tally
	n.add(5)
	if !n.add(5) || n.read(5, 1) != 2 || n.read(6, 1) != 0 || n.read(6, 2) != 2 {
		t.Error("it does not count")
	}
	if n.add(4) || n.read(5, 1) != 2 {
		t.Error("counted in a tick that is over")
	}
	if !n.add(9) || n.read(9, 16) != 1 {
		t.Error("a new tick does not begin anew")
	}
	n.word.Store(9<<tallyBits | tallyFull)
	if n.add(9) || n.read(9, 1) != tallyFull {
		t.Error("more than full")
	}
	if !n.add(10) || n.read(10, 1) != 1 {
		t.Error("it stays full")
	}
	w := newTimeWindow(time.Hour)
	w.slots[0].calls.word.Store(tallyFull)
	w.record(0, true, true)
	if got := w.counts(0); got != (Counts{Calls: tallyFull}) {
		t.Errorf("failures of calls that were not counted: %+v", got)
	}
}
