package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// span is a request that has passed: it was let through at some moment between the two.
type span struct{ from, to time.Time }

// windows shows, for each window that begins with a request and ends with an answer, how many requests
// were let through in it for certain.
func windows(passed []span, yield func(n int, w time.Duration)) {
	byEnd := slices.SortedFunc(slices.Values(passed), func(a, b span) int { return a.to.Compare(b.to) })
	for _, first := range passed {
		n := 0
		for _, s := range byEnd {
			if !s.from.Before(first.from) {
				n++
				yield(n, s.to.Sub(first.from))
			}
		}
	}
}

// kept checks that no window has more than a token bucket lets through in it.
func kept(l ratelimit.Limit, passed []span) (err error) {
	windows(passed, func(n int, w time.Duration) {
		engine := w + w/1000 + time.Millisecond // its clock may be faster
		most := l.Burst + int64(float64(l.N)*float64(engine)/float64(l.Per))
		if int64(n) > most && err == nil {
			err = fmt.Errorf("limit %q: %d in %v, at most %d may be", l.Name, n, w, most)
		}
	})
	return err
}

// busiest returns how many were let through in the busiest window of a length, for certain.
func busiest(passed []span, length time.Duration) (most int) {
	windows(passed, func(n int, w time.Duration) {
		if w <= length {
			most = max(most, n)
		}
	})
	return most
}
