package backendtest

import (
	"cmp"
	"math"
	"math/big"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// AtMost returns how many units a limit, as [ratelimit.NewPolicy] takes it, lets through at most within
// any time w, both ends included:
//
//	TokenBucket    Burst + N*w/Per
//	FixedWindow    N for each window that w can touch
//	SlidingWindow  N + N*w/Per: a whole N late in one window, and then what the part of it leaves
//	StrictWindow   N for each Per begun
func AtMost(l ratelimit.Limit, w time.Duration) int64 {
	n, per, within := big.NewInt(l.N), big.NewInt(int64(l.Per)), big.NewInt(int64(max(w, 0)))
	periods := new(big.Int).Div(new(big.Int).Add(within, big.NewInt(int64(l.Per-1))), per)
	switch l.Algorithm {
	case ratelimit.FixedWindow:
		return whole(n.Mul(n, periods.Add(periods, big.NewInt(1))))
	case ratelimit.StrictWindow:
		if periods.Sign() == 0 {
			return l.N
		}
		return whole(n.Mul(n, periods))
	}
	n.Div(n.Mul(n, within), per)
	return whole(n.Add(n, big.NewInt(cmp.Or(l.Burst, l.N))))
}

// AtLeast returns how many units a limit lets through at least within any time w, to callers that ask
// for single units all the time and had not been charged beyond it:
//
//	TokenBucket    one for each Per/N, rounded up to the engine's microsecond
//	FixedWindow    N for each whole Per: in any such time a window begins
//	SlidingWindow  N for each two Per: whenever it refuses, the two windows hold N or more
//	StrictWindow   N for each eleven tenths of Per: whenever it refuses, these hold N
func AtLeast(l ratelimit.Limit, w time.Duration) int64 {
	const micro = int64(time.Microsecond)
	n, within := big.NewInt(l.N), big.NewInt(int64(max(w, 0)))
	times := func(d time.Duration) int64 { return whole(n.Mul(n, within.Div(within, big.NewInt(int64(d))))) }
	switch l.Algorithm {
	case ratelimit.FixedWindow:
		return times(l.Per)
	case ratelimit.SlidingWindow:
		return times(2 * l.Per)
	case ratelimit.StrictWindow:
		tenth := (int64(l.Per)/micro + 9) / 10
		return times(time.Duration(11 * tenth * micro))
	}
	pace := new(big.Int).Mul(n, big.NewInt(micro)) // of N units
	pace.Add(pace, big.NewInt(int64(l.Per)))
	return whole(n.Div(n.Mul(n, within), pace))
}

// whole is an int64, as large as there is if n is too large for one.
func whole(n *big.Int) int64 {
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}
