package retry

import (
	"math"
	"time"
)

// Backoff says how long to wait after attempt number failed, from 1, when the delay before that one was
// previous (0 before the first). random(n) is a number from 0 to below n, for n above 0.
//
// It is a pure function, so one Backoff serves any number of calls at the same time. A negative
// result counts as 0. Those of this package never overflow, take a negative first delay for 0, and never
// exceed their longest delay.
type Backoff func(number int, previous time.Duration, random func(n int64) int64) time.Duration

// Constant waits for the same time before every attempt.
func Constant(delay time.Duration) Backoff {
	return func(int, time.Duration, func(int64) int64) time.Duration { return max(0, delay) }
}

// Linear waits for first, 2*first, 3*first and so on, at most longest.
func Linear(first, longest time.Duration) Backoff {
	return func(number int, _ time.Duration, _ func(int64) int64) time.Duration {
		return times(first, int64(number), longest)
	}
}

// Exponential waits for first, 2*first, 4*first and so on, at most longest.
func Exponential(first, longest time.Duration) Backoff {
	return func(number int, _ time.Duration, _ func(int64) int64) time.Duration {
		return doubled(first, number, longest)
	}
}

// FullJitter waits for a random time between 0 and what [Exponential] waits. It spreads the attempts of
// many callers best. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
func FullJitter(first, longest time.Duration) Backoff {
	return func(number int, _ time.Duration, random func(int64) int64) time.Duration {
		return upTo(doubled(first, number, longest), random)
	}
}

// EqualJitter waits for half of what [Exponential] waits and a random time up to the other half, so
// it never comes back at once. Source: as [FullJitter].
func EqualJitter(first, longest time.Duration) Backoff {
	return func(number int, _ time.Duration, random func(int64) int64) time.Duration {
		whole := doubled(first, number, longest)
		return whole/2 + upTo(whole-whole/2, random)
	}
}

// Decorrelated waits for a random time between first and three times the previous delay, at most
// longest. Source: as [FullJitter].
func Decorrelated(first, longest time.Duration) Backoff {
	return func(_ int, previous time.Duration, random func(int64) int64) time.Duration {
		least := times(first, 1, longest)
		return least + upTo(times(max(least, previous), 3, longest)-least, random)
	}
}

// Fibonacci waits for first, first, 2*first, 3*first, 5*first and so on, at most longest: it grows slower
// than [Exponential].
func Fibonacci(first, longest time.Duration) Backoff {
	return func(number int, _ time.Duration, _ func(int64) int64) time.Duration {
		a, b := int64(0), int64(1)
		for range min(max(number, 1), 92) - 1 { // the 92nd is the last that fits
			a, b = b, a+b
		}
		return times(first, b, longest)
	}
}

// times is first * n, at most longest, where neither may be negative.
func times(first time.Duration, n int64, longest time.Duration) time.Duration {
	first, longest = max(0, first), max(0, longest)
	if n > 0 && first > longest/time.Duration(n) {
		return longest
	}
	return first * time.Duration(max(0, n))
}

func doubled(first time.Duration, number int, longest time.Duration) time.Duration {
	return times(first, int64(1)<<min(max(number, 1)-1, 62), longest)
}

// upTo is a random time from 0 to d, both included.
func upTo(d time.Duration, random func(int64) int64) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(random(min(int64(d), math.MaxInt64-1) + 1))
}
