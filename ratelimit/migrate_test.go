package ratelimit

import (
	"testing"
	"time"
)

// A bucket whose policy is changed, or that processes fill under two policies, may hold a fraction of
// another unit. It counts as less than a microsecond whatever the new unit.
func TestFractionOfAnotherPolicy(t *testing.T) {
	of := func(n int64, per time.Duration) *Policy {
		p, err := NewPolicy(Limit{Name: "l", N: n, Per: per, Burst: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, to := range []*Policy{of(1, time.Microsecond), of(1000, time.Second), of(3, 5*time.Microsecond), of(7, time.Second)} {
		from := of(MaxUnits-1, 365*24*time.Hour)
		state := make([]int64, from.Words())
		from.Decide(state, begin, &Op{Policy: from, Kind: OpTake, N: 1})
		if state[2] < to.rules[0].Den {
			t.Fatalf("no large fraction: %v", state)
		}
		for _, kind := range []OpKind{OpPeek, OpTake, OpGive, OpTake} {
			d := to.Decide(state, begin, &Op{Policy: to, Kind: kind, N: 1})
			if !d.Allowed || d.Remaining < 0 || d.Remaining > 1000 || state[2] >= to.rules[0].Den {
				t.Errorf("to %+v: %d: %+v, %v", to.limits[0], kind, d, state)
			}
		}
	}
}

// A window that holds far more than a smaller limit allows is compared without an overflow.
func TestSlidingWindowOfAnotherPolicy(t *testing.T) {
	of := func(n int64) *Policy {
		p, err := NewPolicy(Limit{Name: "l", N: n, Per: time.Hour, Algorithm: SlidingWindow})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const hour = int64(time.Hour / time.Microsecond)
	from, to := of(800_000_000_000), of(1)
	for fill := int64(1); fill < 800_000_000_000; fill = fill*3 + 1 {
		state := make([]int64, from.Words())
		start := begin - begin%hour
		from.Decide(state, start, &Op{Policy: from, Kind: OpTake, N: fill})
		for _, at := range []int64{start, start + hour/2, start + hour, start + hour + hour/2} {
			if d := to.Decide(state, at, &Op{Policy: to, Kind: OpPeek, N: 1}); d.Allowed || d.Remaining != 0 {
				t.Errorf("%d in the window: %+v", fill, d)
			}
		}
	}
}

// What is charged beyond a burst is a debt, of a burst at most, however long that takes to refill.
func TestDebt(t *testing.T) {
	const day = int64(24 * time.Hour / time.Microsecond)
	p, err := NewPolicy(Limit{Name: "l", N: 10, Per: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ charged, days int64 }{{10, 0}, {15, 12}, {20, 24}, {200, 24}} {
		state := make([]int64, p.Words())
		for range c.charged / 5 {
			p.Decide(state, begin, &Op{Policy: p, Kind: OpCharge, N: 5})
		}
		free := begin + c.days*day/24 + day/10 // of the debt, and one unit more
		d := p.Decide(state, begin, &Op{Policy: p, Kind: OpTake, N: 1})
		if late := d.RetryAfter - micros(free-begin); d.Allowed || late < 0 || late > time.Hour {
			t.Errorf("%d charged: %+v, want to wait %v", c.charged, d, micros(free-begin))
		}
	}
}
