package backendtest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

var epoch = time.UnixMicro(1_790_000_000_000_000)

var algorithms = []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.FixedWindow, ratelimit.SlidingWindow, ratelimit.StrictWindow}

func TestAtMostAndAtLeast(t *testing.T) {
	const n, s = int64(10), time.Second
	huge := ratelimit.Limit{Name: "l", N: ratelimit.MaxUnits, Per: time.Microsecond}
	slow := ratelimit.Limit{Name: "l", N: ratelimit.MaxUnits, Per: 366 * 24 * time.Hour, Burst: 3}
	for _, c := range []struct {
		l           ratelimit.Limit
		w           time.Duration
		most, least int64
	}{
		{ratelimit.Limit{N: n, Per: s}, 0, 10, 0},
		{ratelimit.Limit{N: n, Per: s, Burst: 3}, 99 * time.Millisecond, 3, 0},
		{ratelimit.Limit{N: n, Per: s, Burst: 3}, 100 * time.Millisecond, 4, 0},
		{ratelimit.Limit{N: n, Per: s, Burst: 3}, 100*time.Millisecond + time.Microsecond, 4, 1},
		{ratelimit.Limit{N: n, Per: s, Burst: 3}, 2 * s, 23, 19},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.FixedWindow}, 0, 10, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.FixedWindow}, 1, 20, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.FixedWindow}, s, 20, 10},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.FixedWindow}, s + 1, 30, 10},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.SlidingWindow}, 0, 10, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.SlidingWindow}, s - 1, 19, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.SlidingWindow}, 2 * s, 30, 10},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.StrictWindow}, 0, 10, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.StrictWindow}, s, 10, 0},
		{ratelimit.Limit{N: n, Per: s, Algorithm: ratelimit.StrictWindow}, s + s/10, 20, 10},
		{huge, time.Hour, math.MaxInt64, 3_599_999_999},
		{huge, math.MaxInt64, math.MaxInt64, 9223372036846387},
		{slow, 366 * 24 * time.Hour, ratelimit.MaxUnits + 3, 1062566175646},
		{slow, -1, 3, 0},
	} {
		if most, least := backendtest.AtMost(c.l, c.w), backendtest.AtLeast(c.l, c.w); most != c.most || least != c.least {
			t.Errorf("%v in %v: %d to %d, want %d to %d", c.l, c.w, least, most, c.least, c.most)
		}
	}
}

// passedOf is a log of single units, or as many as said, at these times.
func passedOf(units int64, at ...time.Duration) *backendtest.Passed {
	p := &backendtest.Passed{}
	for _, d := range at {
		p.Add(epoch.Add(d), epoch.Add(d), units)
	}
	return p
}

func TestPassed(t *testing.T) {
	const ms = time.Millisecond
	limit := func(a ratelimit.Algorithm, n int64) ratelimit.Limit {
		return ratelimit.Limit{Name: "l", N: n, Per: 100 * ms, Algorithm: a}
	}
	bucket := limit(ratelimit.TokenBucket, 10)
	bucket.Burst = 2
	for _, c := range []struct {
		name   string
		l      ratelimit.Limit
		slack  int64
		passed *backendtest.Passed
		want   string // "" or a part of the error
	}{
		{"nothing", bucket, 0, &backendtest.Passed{}, ""},
		{"a burst", bucket, 0, passedOf(1, 0, 0), ""},
		{"more than a burst", bucket, 0, passedOf(1, 0, 0, 0), "3 units through in 0s"},
		{"slack", bucket, 1, passedOf(1, 0, 0, 0), ""},
		{"slack and one more", bucket, 1, passedOf(4, 0), "4 units through in 0s"},
		{"a burst and the rate", bucket, 0, passedOf(1, 0, 0, 10*ms, 20*ms, 30*ms), ""},
		{"within the grain", bucket, 0, passedOf(1, 0, 0, 10*ms-2*time.Microsecond), ""},
		{"too early", bucket, 0, passedOf(1, 0, 0, 10*ms-2*time.Microsecond-1), "3 units through in 9.997999ms"},
		{"after a rest", bucket, 0, passedOf(1, 0, time.Second, time.Second, time.Second+9*ms), "3 units through in 9ms"},
		{"two windows", limit(ratelimit.FixedWindow, 2), 0, passedOf(2, 0, ms), ""},
		{"three", limit(ratelimit.FixedWindow, 2), 0, passedOf(2, 0, ms, 100*ms-3*time.Microsecond), "6 units through in 99.997ms"},
		{"each two", limit(ratelimit.FixedWindow, 2), 0, passedOf(2, 0, ms, 101*ms), ""},
		{"and more", limit(ratelimit.FixedWindow, 2), 0, passedOf(2, 0, ms, 101*ms, 150*ms, 199*ms), "8 units through in 150ms"},
		{"late, then its part", limit(ratelimit.SlidingWindow, 4), 0, passedOf(4, 0, 100*ms), ""},
		{"late, and more", limit(ratelimit.SlidingWindow, 4), 0, passedOf(4, 0, 90*ms), "8 units through in 90ms"},
		{"strict", limit(ratelimit.StrictWindow, 4), 0, passedOf(4, 0, 100*ms, 200*ms), ""},
		{"not strict", limit(ratelimit.StrictWindow, 4), 0, passedOf(4, 0, 100*ms-3*time.Microsecond, 200*ms), "8 units through in 99.997ms"},
		{"not strict in the long run", limit(ratelimit.StrictWindow, 4), 4, passedOf(4, 0, 60*ms, 120*ms, 180*ms), "16 units through in 180ms"},
		{"no limit", ratelimit.Limit{Name: "l"}, 0, passedOf(1, 0), "N must be"},
	} {
		err := c.passed.Check(c.l, c.slack)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// What may have come at another time is not held against anybody.
func TestPassedAccusesNobodyWrongly(t *testing.T) {
	for _, a := range algorithms {
		var p backendtest.Passed
		for range 3 {
			p.Add(epoch, epoch.Add(100*time.Second), 1)
		}
		p.Add(epoch.Add(time.Second), epoch.Add(time.Second), 1)
		l := ratelimit.Limit{Name: "l", N: 1, Per: time.Second, Algorithm: a}
		if err := p.Check(l, 0); err != nil {
			t.Error(err)
		}
		p.Add(epoch.Add(2*time.Second), epoch.Add(time.Second), 4) // an odd clock
		if err := p.Check(l, 0); err == nil {
			t.Errorf("%v: 5 in a second", a)
		}
	}
}

// Check finds what looking at each pair of a start and an end finds.
func TestPassedFindsEveryWindow(t *testing.T) {
	const logs = 800
	found := 0
	for seed := range uint64(logs) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := ratelimit.Limit{Name: "l", N: 1 + r.Int64N(6), Per: time.Duration(1+r.Int64N(50)) * time.Microsecond, Algorithm: algorithms[seed%4]}
		if seed%8 == 0 {
			l.Burst = 1 + r.Int64N(20)
		}
		slack := r.Int64N(8)
		type call struct {
			from, to time.Duration
			units    int64
		}
		var p backendtest.Passed
		var calls []call
		gap := int64(l.Per) / l.N * (1 + r.Int64N(12))
		for at := time.Duration(0); len(calls) < 25; at += time.Duration(r.Int64N(gap)) {
			c := call{at, at, 1 + r.Int64N(3)}
			if r.IntN(2) == 0 {
				c.to += time.Duration(r.Int64N(int64(l.Per)))
			}
			calls = append(calls, c)
			p.Add(epoch.Add(c.from), epoch.Add(c.to), c.units)
		}
		beyond := false
		for _, s := range calls {
			for _, e := range calls {
				within, across := int64(0), int64(0)
				for _, c := range calls {
					switch {
					case c.from >= s.from && c.to <= e.to:
						within += c.units
					case c.from < s.from && c.to > e.to:
						across += c.units
					}
				}
				if s.from <= e.to && within-across-slack > backendtest.AtMost(l, e.to-s.from+2*time.Microsecond) {
					beyond = true
				}
			}
		}
		if beyond {
			found++
		}
		if err := p.Check(l, slack); (err != nil) != beyond {
			t.Fatalf("seed %d: %+v: %v, but beyond it: %v", seed, l, err, beyond)
		}
	}
	if found < logs/5 || found > logs*4/5 {
		t.Errorf("%d of %d logs go beyond the limit: this shows little", found, logs)
	}
}

func TestPassedOfManyGoroutines(t *testing.T) {
	var p backendtest.Passed
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 100 {
				p.Add(epoch, epoch, 1)
			}
			if err := p.Check(ratelimit.Limit{Name: fmt.Sprint(i), N: 800, Per: time.Second}, 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := p.Units(); n != 800 {
		t.Errorf("%d units", n)
	}
}

func BenchmarkPassed(b *testing.B) {
	for _, a := range algorithms {
		b.Run(a.String(), func(b *testing.B) {
			var p backendtest.Passed
			for i := range time.Duration(200_000) {
				p.Add(epoch.Add(i*time.Millisecond), epoch.Add((i+10)*time.Millisecond), 1)
			}
			l := ratelimit.Limit{Name: "l", N: 7, Per: 7 * time.Millisecond, Algorithm: a}
			for b.Loop() {
				if err := p.Check(l, 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
