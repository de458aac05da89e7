package retry

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatencySlots(t *testing.T) {
	last := -1
	for took := time.Duration(0); took < time.Hour; took += 1 + took/100 {
		slot := slotOf(took)
		if slot < last || slot > last+1 {
			t.Fatalf("%v is in slot %d after %d", took, slot, last)
		}
		last = slot
		if slot == latencySlots-1 {
			break
		}
		if top := topOf(slot); took >= top || slot > 0 && took < topOf(slot-1) || slot >= latencySteps && top-topOf(slot-1) > took/latencySteps+1 {
			t.Fatalf("%v is in slot %d, from %v to %v", took, slot, topOf(slot-1), top)
		}
	}
	if last != latencySlots-1 {
		t.Errorf("the longest is in slot %d of %d", last, latencySlots)
	}
	for _, odd := range []time.Duration{math.MinInt64, -1, 0, math.MaxInt64} {
		if slot := slotOf(odd); slot < 0 || slot >= latencySlots {
			t.Errorf("%d is in slot %d", odd, slot)
		}
	}
}

func TestLatencyQuantiles(t *testing.T) {
	l := latency{quantile: 0.9}
	random := rand.New(rand.NewPCG(10, 11))
	var all []time.Duration
	for range latencyHalf + latencyHalf - latencyFew {
		took := time.Duration(random.ExpFloat64() * float64(50*time.Millisecond))
		all = append(all, took)
		l.observe(took)
		if (l.median.Load() == 0) != (len(all) < latencyFew) {
			t.Fatalf("median %d after %d", l.median.Load(), len(all))
		}
	}
	slices.Sort(all)
	for q, got := range map[float64]int64{0.5: l.median.Load(), 0.9: l.slow.Load()} {
		want := all[int(q*float64(len(all)))]
		if got := time.Duration(got); got < want || got > want+want/4 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	// What was is forgotten after as many again.
	for range 3 * latencyHalf {
		l.observe(time.Second)
	}
	if median := time.Duration(l.median.Load()); median < time.Second || median > 1200*time.Millisecond {
		t.Errorf("median %v", median)
	}
}
