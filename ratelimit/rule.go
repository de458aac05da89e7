package ratelimit

import (
	"math/bits"
	"time"
)

// Span is an exact time: Whole microseconds and a fraction of Den parts of one, see [Rule].
type Span struct {
	Whole int64 // microseconds
	Frac  int64 // parts, 0 to Rule.Den - 1
}

// Rule is a compiled limit, for engines: [Policy.Decide] is what it means. All numbers are whole, times
// are microseconds, instants count from 1970.
//
// The words that are kept for a rule, all 0 at first:
//
//	TokenBucket    whole and fraction of the instant at which the bucket is full again
//	FixedWindow    begin of the window, units in it
//	SlidingWindow  begin of the window, units in the one before, units in it
//	StrictWindow   number of the part, units in it and in each of the 10 before it
type Rule struct {
	Algorithm Algorithm
	N         int64
	Most      int64 // the burst in units, or N: what costs more never fits, and is given and charged as this
	Per       int64
	Shadow    bool
	Num, Den  int64 // TokenBucket: one unit takes Num/Den µs, in lowest terms
	Burst     Span  // TokenBucket: the time that Limit.Burst units take
	Unit      int64 // SlidingWindow: what its times are counted in; StrictWindow: length of a part
	At        int   // its first word in the state
	one       Span  // TokenBucket: Cost(1)
}

func (r *Rule) words() int {
	return [...]int{TokenBucket: 2, FixedWindow: 2, SlidingWindow: 3, StrictWindow: strictParts + 2}[r.Algorithm]
}

// Cost returns the time that n units of a TokenBucket take.
func (r *Rule) Cost(n int64) Span {
	hi, lo := bits.Mul64(uint64(n), uint64(r.Num))
	whole, frac := bits.Div64(hi, lo, uint64(r.Den))
	return Span{int64(whole), int64(frac)}
}

// add returns a + b.
func (r *Rule) add(a, b Span) Span {
	s := Span{a.Whole + b.Whole, a.Frac + b.Frac}
	if s.Frac >= r.Den {
		s.Whole++
		s.Frac -= r.Den
	}
	return s
}

// sub returns a - b. The whole part may be negative, the fraction is not.
func (r *Rule) sub(a, b Span) Span {
	s := Span{a.Whole - b.Whole, a.Frac - b.Frac}
	if s.Frac < 0 {
		s.Whole--
		s.Frac += r.Den
	}
	return s
}

// up returns the time in whole microseconds, rounded up, and at least 0.
func (s Span) up() int64 {
	if s.Frac > 0 {
		s.Whole++
	}
	return max(s.Whole, 0)
}

const maxWait = int64(MaxWait / time.Microsecond)

// roll brings the words to the present. For a window, a clock that went back a little stands still, and one
// that went back far begins anew. A bucket is an instant, so it looks fuller by the step back: up to a
// bound, at which it is as one that is used up.
func (r *Rule) roll(w []int64, now int64) {
	switch r.Algorithm {
	case TokenBucket:
		if w[0]-now > 2*(r.Burst.Whole+maxWait) {
			w[0], w[1] = now+r.Burst.Whole, r.Burst.Frac
		}
		if w[1] >= r.Den { // a fraction that another policy has counted
			w[0], w[1] = w[0]+1, 0
		}
		if w[0] < now {
			w[0], w[1] = now, 0
		}
	case FixedWindow, SlidingWindow:
		begin := now - now%r.Per
		switch behind := begin - w[0]; {
		case behind == 0, behind < 0 && behind >= -r.Per:
		case behind == r.Per && r.Algorithm == SlidingWindow:
			w[1], w[2], w[0] = w[2], 0, begin
		default:
			clear(w)
			w[0] = begin
		}
	default:
		part := now / r.Unit
		switch behind := part - w[0]; {
		case behind <= 0 && behind >= -(strictParts+1):
		case behind > 0 && behind <= strictParts:
			copy(w[1+behind:], w[1:len(w)-int(behind)])
			clear(w[1 : 1+behind])
			w[0] = part
		default:
			clear(w)
			w[0] = part
		}
	}
}

// retry returns how long n units must wait until they fit, if nobody else comes: 0 if they fit now.
// The words have been rolled.
func (r *Rule) retry(w []int64, now, n int64) int64 {
	switch r.Algorithm {
	case TokenBucket:
		after := r.add(Span{w[0], w[1]}, r.Cost(n))
		return r.sub(r.sub(after, Span{now, 0}), r.Burst).up()
	case FixedWindow:
		if w[1]+n <= r.N {
			return 0
		}
		return w[0] + r.Per - now
	case SlidingWindow:
		return r.slide(w, now, n)
	default:
		sum := n
		for _, c := range w[1:] {
			sum += c
		}
		parts := int64(0)
		for i := len(w) - 1; sum > r.N && i > 0; i-- { // the oldest parts go first
			sum -= w[i]
			parts = int64(len(w) - i)
		}
		if parts == 0 {
			return 0
		}
		return (w[0]+parts)*r.Unit - now
	}
}

// slide is retry of a SlidingWindow. The window before counts for the part of it that is still within
// Per: before*(width-elapsed) + (in+n)*width <= N*width, in Rule.Unit.
func (r *Rule) slide(w []int64, now, n int64) int64 {
	width := r.Per / r.Unit
	elapsed := r.elapsed(w, now)
	before, in := r.counted(w)
	if before*(width-elapsed)+(in+n)*width <= r.N*width {
		return 0
	}
	fits := func(before, free int64) int64 { // elapsed of the window from which on free units are enough
		return width - free*width/before
	}
	if free := r.N - in - n; free >= 0 {
		return w[0] + fits(before, free)*r.Unit - now
	}
	return w[0] + r.Per + fits(in, r.N-n)*r.Unit - now
}

// elapsed returns how much of the window of a SlidingWindow is over, in Rule.Unit: nothing while a clock
// that went back stands still.
func (r *Rule) elapsed(w []int64, now int64) int64 { return max(0, now-w[0]) / r.Unit }

// counted returns the units in the windows of a SlidingWindow, as far as they fit into one: another
// policy may have counted more, and the products must be exact.
func (r *Rule) counted(w []int64) (before, in int64) { return min(w[1], r.N), min(w[2], r.N) }

// take counts n units. The words have been rolled. What is charged may put a bucket into a debt, of the
// time of its burst at most.
func (r *Rule) take(w []int64, now, n int64) {
	switch r.Algorithm {
	case TokenBucket:
		s := r.add(Span{w[0], w[1]}, r.Cost(n))
		if most := now + 2*r.Burst.Whole + maxWait; s.Whole > most {
			s = Span{most, 0}
		}
		w[0], w[1] = s.Whole, s.Frac
	case FixedWindow, StrictWindow:
		w[1] = min(w[1]+n, r.N)
	case SlidingWindow:
		w[2] = min(w[2]+n, r.N)
	}
}

// give takes back n units, the newest first, as far as they are there.
func (r *Rule) give(w []int64, now, n int64) {
	switch r.Algorithm {
	case TokenBucket:
		s := r.sub(Span{w[0], w[1]}, r.Cost(n))
		w[0], w[1] = s.Whole, s.Frac
		if w[0] < now {
			w[0], w[1] = now, 0
		}
	case FixedWindow:
		w[1] = max(w[1]-n, 0)
	case SlidingWindow:
		m := min(w[2], n)
		w[2] -= m
		w[1] = max(w[1]-(n-m), 0)
	default:
		for i := 1; i < len(w) && n > 0; i++ {
			m := min(w[i], n)
			w[i] -= m
			n -= m
		}
	}
}

// left returns how many units fit now.
func (r *Rule) left(w []int64, now int64) int64 {
	switch r.Algorithm {
	case TokenBucket:
		free := r.sub(r.add(Span{now, 0}, r.Burst), Span{w[0], w[1]})
		switch {
		case free.Whole < 0:
			return 0
		case r.Den == 1:
			return free.Whole / r.Num
		}
		hi, lo := bits.Mul64(uint64(free.Whole), uint64(r.Den))
		lo, carry := bits.Add64(lo, uint64(free.Frac), 0)
		n, _ := bits.Div64(hi+carry, lo, uint64(r.Num))
		return int64(n)
	case FixedWindow:
		return max(0, r.N-w[1])
	case SlidingWindow:
		width := r.Per / r.Unit
		before, in := r.counted(w)
		used := before*(width-r.elapsed(w, now)) + in*width
		return max(0, r.N*width-used) / width
	default:
		left := r.N
		for _, c := range w[1:] {
			left -= c
		}
		return max(0, left)
	}
}

// rest returns how long it takes until nothing is counted any more, if nobody comes.
func (r *Rule) rest(w []int64, now int64) int64 {
	switch r.Algorithm {
	case TokenBucket:
		return r.sub(Span{w[0], w[1]}, Span{now, 0}).up()
	case FixedWindow:
		if w[1] > 0 {
			return w[0] + r.Per - now
		}
	case SlidingWindow:
		switch {
		case w[2] > 0:
			return w[0] + 2*r.Per - now
		case w[1] > 0:
			return w[0] + r.Per - now
		}
	default:
		for i := 1; i < len(w); i++ {
			if w[i] > 0 {
				return (w[0]+int64(len(w)-i))*r.Unit - now
			}
		}
	}
	return 0
}
