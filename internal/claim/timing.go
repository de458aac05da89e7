package claim

import (
	"math/rand/v2"
	"time"

	"github.com/concord-go/concord/lease"
)

// driftParts bounds how much faster an engine's clock may run than ours: one part in a thousand.
const driftParts = 1000

// Margin is how long before the engine a holder stops by default: a fiftieth of the life left, at
// least 5 ms for the timer to fire and at most 250 ms.
func Margin(left time.Duration) time.Duration {
	return min(max(left/50, 5*time.Millisecond), 250*time.Millisecond)
}

// deadline is the local instant at which a holder must stop believing. sent is the instant before
// the very request was sent whose answer said that left of the validity remains.
func deadline(sent time.Time, left, margin time.Duration) time.Time {
	return sent.Add(left - left/driftParts - margin)
}

// attemptTimeout bounds one call to the engine, inside the caller's deadline.
func attemptTimeout(ttl time.Duration) time.Duration {
	return min(max(ttl/6, 20*time.Millisecond), 500*time.Millisecond)
}

// batchTimeout is the attemptTimeout of a renewal of n holds; a large batch takes several requests.
func batchTimeout(ttl time.Duration, n int) time.Duration {
	a := attemptTimeout(ttl)
	return min(a+a*time.Duration(n)/2000, max(a, ttl/4))
}

// patience is how long an engine may stay silent before an acquire fails. A waiting claim that was
// not heard of for one TTL has lost its place anyway.
func patience(ttl time.Duration, queue bool) time.Duration {
	if queue {
		return min(max(ttl, 2*time.Second), 30*time.Second)
	}
	return min(max(ttl/3, time.Second), 5*time.Second)
}

// backoff is the pause before a call is repeated: full jitter up to the attempt timeout.
func backoff(ttl time.Duration) time.Duration {
	const least = 10 * time.Millisecond
	return least + rand.N(attemptTimeout(ttl)-least+1)
}

// heartbeat is the time to a waiting claim's next renewal. It keeps the claim alive and is the
// fallback for a lost push: the claims at the head look when the next seat is due to end, each a
// little after the one before it. Without a working push path it looks more often.
func heartbeat(ttl, window time.Duration, a lease.Answer) time.Duration {
	alive := window / 3
	if a.Pushed {
		alive = min(ttl/3, 5*time.Second)
	}
	jitter := 0.2 * rand.Float64()
	alive = scale(alive, 0.8+2*jitter)
	// Never before the seat's end: looking early finds nothing.
	due := scale(a.Next+time.Duration(a.Rank)*25*time.Millisecond, 1+jitter)
	return max(min(alive, due), 5*time.Millisecond)
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// suspended reports whether the machine slept, or the wall clock was stepped forward, between two
// readings of the clock: the wall clock then moved on while the monotonic clock stood.
func suspended(wall, monotonic, margin time.Duration) bool {
	return wall-monotonic > max(time.Second, margin)
}

// elapsed returns the time between two readings by the wall clock and by the monotonic clock.
func elapsed(from, to time.Time) (wall, monotonic time.Duration) {
	return to.Round(0).Sub(from.Round(0)), to.Sub(from)
}
