package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

const begin = int64(1_790_000_000_000_000) // µs, in 2026

// Several limits count all or nothing, and the one that refuses is named.
func TestAllOrNothing(t *testing.T) {
	p, err := NewPolicy(
		Limit{Name: "burst", N: 10, Per: time.Second, Burst: 5},
		Limit{Name: "day", N: 8, Per: 24 * time.Hour, Algorithm: FixedWindow},
		Limit{Name: "shadow", N: 1, Per: time.Hour, Algorithm: StrictWindow, Shadow: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	state := make([]int64, p.Words())
	take := func(now, n int64) string {
		d := p.Decide(state, now, &Op{Policy: p, Kind: OpTake, N: n})
		return fmt.Sprint(d.Allowed, " ", d.Limit, " ", d.Remaining, " ", d.RetryAfter, " ", d.Shadow)
	}
	for i, c := range []struct {
		at, n int64
		want  string
	}{
		{begin, 4, "true burst 1 0s shadow"},
		{begin, 2, "false burst 1 100ms shadow"},
		{begin, 1, "true burst 0 0s "},
		{begin + 500_000, 5, "false day 3 "},
		{begin + 500_000, 3, "true day 0 0s shadow"},
		{begin + 600_000, 1, "false day 0 "},
	} {
		if got := take(c.at, c.n); len(got) < len(c.want) || got[:len(c.want)] != c.want {
			t.Errorf("step %d: %q, want %q", i, got, c.want)
		}
	}
}

// Of several limits that are used up, the one is named that has a unit again last.
func TestUsedUp(t *testing.T) {
	limits := []Limit{
		{Name: "second", N: 2, Per: time.Second},
		{Name: "minute", N: 2, Per: time.Minute},
		{Name: "quarter", N: 2, Per: 15 * time.Second, Algorithm: FixedWindow},
		{Name: "shadow", N: 2, Per: time.Hour, Shadow: true},
	}
	for range len(limits) {
		limits = append(limits[1:], limits[0])
		p, err := NewPolicy(limits...)
		if err != nil {
			t.Fatal(err)
		}
		state := make([]int64, p.Words())
		for left := range int64(2) {
			d := p.Decide(state, begin, &Op{Policy: p, Kind: OpTake, N: 1})
			if !d.Allowed || d.Remaining != 1-left || left == 0 && d.NextAfter != 0 || left == 1 && (d.Limit != "minute" || d.NextAfter != 30*time.Second) {
				t.Errorf("%+v", d)
			}
		}
	}
}

// When nothing is left, it is said when a unit is there again: to the microsecond, for one limit and for
// several.
func TestNextAfter(t *testing.T) {
	for _, limits := range [][]Limit{
		{{Name: "l", N: 3, Per: time.Second, Burst: 2}},
		{{Name: "l", N: 7, Per: time.Minute, Algorithm: FixedWindow}},
		{{Name: "l", N: 7, Per: time.Minute, Algorithm: SlidingWindow}},
		{{Name: "l", N: 7, Per: time.Minute, Algorithm: StrictWindow}},
		{{Name: "l", N: 3, Per: time.Second}, {Name: "m", N: 3, Per: time.Minute, Algorithm: FixedWindow}},
	} {
		p, err := NewPolicy(limits...)
		if err != nil {
			t.Fatal(err)
		}
		state, now := make([]int64, p.Words()), begin
		take := func(now int64) Decision { return p.Decide(state, now, &Op{Policy: p, Kind: OpTake, N: 1}) }
		for range 20 {
			d := take(now)
			for ; d.Allowed && d.Remaining > 0; d = take(now) {
				now += 1234
			}
			after := d.NextAfter.Microseconds()
			if !d.Allowed || after <= 0 {
				t.Fatalf("%v: %+v", limits, d)
			}
			if early := take(now + after - 1); early.Allowed {
				t.Errorf("%v: allowed before %v", limits, d.NextAfter)
			}
			now += after
		}
	}
}

// A clock that goes back a little stands still, and one that goes back far does not lock out for long.
func TestClockSteps(t *testing.T) {
	for a := TokenBucket; a <= StrictWindow; a++ {
		l := Limit{Name: "l", N: 10, Per: time.Minute, Algorithm: a}
		p, err := NewPolicy(l)
		if err != nil {
			t.Fatal(err)
		}
		state := make([]int64, p.Words())
		op := &Op{Policy: p, Kind: OpTake, N: 10}
		first := p.Decide(state, begin, op)
		if !first.Allowed {
			t.Fatalf("%v: %+v", a, first)
		}
		op.N = 1
		for _, back := range []int64{1, 1e6, 59e6} {
			d := p.Decide(state, begin-back, op)
			if d.Allowed {
				t.Errorf("%v: minted %v earlier", a, micros(back))
			}
			if d.ResetAfter != first.ResetAfter+micros(back) {
				t.Errorf("%v: all is there again in %v, and %v before that in %v", a, first.ResetAfter, micros(back), d.ResetAfter)
			}
		}
		back := int64(400 * 24 * time.Hour / time.Microsecond)
		d := p.Decide(state, begin-back, op)
		if !d.Allowed && d.RetryAfter > time.Minute {
			t.Errorf("%v: locked out for %v", a, d.RetryAfter)
		}
	}
}

func TestMigrations(t *testing.T) {
	of := func(n int64, a Algorithm) *Policy {
		p, err := NewPolicy(Limit{Name: "l", N: n, Per: time.Minute, Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		from, to *Policy
		how      Migration
		left     int64 // of to, after 6 of 10 were used
	}{
		{of(10, TokenBucket), of(20, TokenBucket), AsIs, 8}, // 36 s until full
		{of(10, TokenBucket), of(20, TokenBucket), Proportional, 8},
		{of(10, TokenBucket), of(20, TokenBucket), Fresh, 20},
		{of(10, FixedWindow), of(20, FixedWindow), AsIs, 14},
		{of(10, FixedWindow), of(20, FixedWindow), Proportional, 8},
		{of(10, FixedWindow), of(5, FixedWindow), AsIs, 0},
		{of(10, FixedWindow), of(20, FixedWindow), Fresh, 20},
		{of(10, StrictWindow), of(20, StrictWindow), Proportional, 8},
		{of(10, SlidingWindow), of(5, SlidingWindow), Proportional, 2},
		{of(10, SlidingWindow), of(20, StrictWindow), Proportional, 20},
	} {
		to, err := c.to.after(c.from, c.how, 3)
		if err != nil {
			t.Fatal(err)
		}
		st := newState("", c.from)
		now := begin - begin%60e6 + 1000
		c.from.Decide(st.words(), now, &Op{Policy: c.from, Kind: OpTake, N: 6})
		for range 2 { // once
			if !st.fits(to) {
				st = newState("", to)
			}
			d := to.Decide(st.words(), now, &Op{Policy: to, Kind: OpPeek, N: 1})
			if d.Remaining != c.left {
				t.Errorf("%v %d to %d, %d: %d left, want %d", c.from.limits[0].Algorithm, c.from.limits[0].N, c.to.limits[0].N, c.how, d.Remaining, c.left)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p, err := NewPolicy(Limit{Name: "l", N: 1000, Per: time.Hour, Burst: 8e7})
	if err != nil {
		b.Fatal(err)
	}
	state := make([]int64, p.Words())
	b.ReportAllocs()
	now := begin
	for b.Loop() {
		now++
		p.Decide(state, now, &Op{Policy: p, Kind: OpTake, N: 1})
	}
}

// A shadow limit that is smaller than what calls cost refuses nothing, and overflows nothing.
func TestSmallShadow(t *testing.T) {
	for a := TokenBucket; a <= StrictWindow; a++ {
		p, err := NewPolicy(
			Limit{Name: "real", N: MaxUnits, Per: time.Microsecond, Burst: 0},
			Limit{Name: "shadow", N: 2, Per: 366 * 24 * time.Hour, Algorithm: a, Shadow: true},
		)
		if err != nil {
			t.Fatal(err)
		}
		state := make([]int64, p.Words())
		now := begin
		for i, kind := range []OpKind{OpTake, OpPeek, OpCharge, OpTake, OpGive, OpTake} { // it never fits
			now += 10
			d := p.Decide(state, now, &Op{Policy: p, Kind: kind, N: MaxUnits})
			if asks := kind == OpTake || kind == OpPeek; !d.Allowed || (d.Shadow == "shadow") != asks {
				t.Errorf("%v, %d: %+v", a, i, d)
			}
		}
	}
}
