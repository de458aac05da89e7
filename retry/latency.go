package retry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	latencyShift = 10 // the smallest difference is 2^10 ns
	latencySteps = 8  // for each power of two, so a quantile is at most an eighth too large
	latencyRange = 30 // powers of two: up to 18 minutes
	latencySlots = latencySteps * (latencyRange - 1)
	latencyHalf  = 512 // observations until the older half is forgotten
	latencyFew   = 32  // observations that say something
)

// latency remembers how long recent attempts took, the last 512 to 1024 of them, in a histogram of
// constant size.
type latency struct {
	quantile float64

	// What is asked for on the path of a call, in nanoseconds; 0 until there are enough observations.
	median, slow atomic.Int64

	mu            sync.Mutex
	recent, older [latencySlots]uint32
	count         int // in recent
	full          bool
}

// observe adds one attempt.
func (l *latency) observe(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[slotOf(took)]++
	l.count++
	if l.count%latencyFew == 0 {
		l.median.Store(int64(l.atLocked(0.5)))
		l.slow.Store(int64(l.atLocked(l.quantile)))
	}
	if l.count == latencyHalf {
		l.older, l.recent, l.count, l.full = l.recent, [latencySlots]uint32{}, 0, true
	}
}

// atLocked returns an upper bound of the time that the share q of the observations took.
func (l *latency) atLocked(q float64) time.Duration {
	total := l.count
	if l.full {
		total += latencyHalf
	}
	left := int(q * float64(total))
	for slot := range latencySlots {
		left -= int(l.recent[slot]) + int(l.older[slot])
		if left < 0 {
			return topOf(slot)
		}
	}
	return topOf(latencySlots - 1)
}

// slotOf numbers times: the first slots are one step wide, and then each power of two has as many.
func slotOf(took time.Duration) int {
	v := uint64(max(0, took)) >> latencyShift
	if v < latencySteps {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len(latencySteps)
	return min(latencySteps*shift+int(v>>shift), latencySlots-1)
}

// topOf is the least time above a slot.
func topOf(slot int) time.Duration {
	slot++
	if slot < latencySteps {
		return time.Duration(slot) << latencyShift
	}
	shift := slot/latencySteps - 1
	return time.Duration(slot-latencySteps*shift) << (shift + latencyShift)
}
