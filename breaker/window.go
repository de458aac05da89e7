package breaker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Counts are the calls that a breaker judges by.
type Counts struct {
	Calls  int64 // that succeeded or failed
	Failed int64
	Slow   int64 // that took longer than Options.SlowAfter, well or not
}

// window counts the calls of the recent past. Its methods may be called by several goroutines; none of
// them waits for another.
type window interface {
	record(now int64, failed, slow bool)
	counts(now int64) Counts
}

// ticks is the number of slots of a timeWindow. It looks at 8 to 16 of them.
const ticks = 16

// timeWindow counts the calls of a time. The time is cut into slots of a power of two nanoseconds, so that
// a call costs no division.
type timeWindow struct {
	shift uint
	look  uint64 // how many slots it looks at, the one that is filling up included
	slots [ticks]struct{ calls, failed, slow tally }
}

func newTimeWindow(span time.Duration) *timeWindow {
	shift := uint(bits.Len64(uint64(span)/(ticks/2)) - 1)
	return &timeWindow{shift: shift, look: (uint64(span) + 1<<shift - 1) >> shift}
}

func (w *timeWindow) record(now int64, failed, slow bool) {
	tick := uint64(now) >> w.shift
	s := &w.slots[tick%ticks]
	if !s.calls.add(tick) {
		return
	}
	if failed {
		s.failed.add(tick)
	}
	if slow {
		s.slow.add(tick)
	}
}

// counts reads what went wrong before it reads all, since record writes them the other way round: it never
// sees more failures than calls.
func (w *timeWindow) counts(now int64) Counts {
	tick := uint64(now) >> w.shift
	var n Counts
	for i := range w.slots {
		s := &w.slots[i]
		n.Failed += s.failed.read(tick, w.look)
		n.Slow += s.slow.read(tick, w.look)
		n.Calls += s.calls.read(tick, w.look)
	}
	return n
}

const (
	tallyBits = 28
	tallyMask = 1<<tallyBits - 1

	// tallyFull leaves room for the goroutines that add between a look and the addition.
	tallyFull = tallyMask - 1<<20
)

// tally is a number that belongs to a tick. Both are in one word, the tick above: who comes first in a new
// tick begins to count anew, in the same step.
type tally struct{ word atomic.Uint64 }

// add counts one. It reports false if it did not, because the tick is long over or the tally is full.
func (t *tally) add(tick uint64) bool {
	for {
		w := t.word.Load()
		switch have := w >> tallyBits; {
		case have > tick:
			return false
		case have < tick:
			if t.word.CompareAndSwap(w, tick<<tallyBits|1) {
				return true
			}
		case w&tallyMask >= tallyFull:
			return false
		default:
			t.word.Add(1)
			return true
		}
	}
}

// read returns the number if its tick is among the last look ones.
func (t *tally) read(tick, look uint64) int64 {
	w := t.word.Load()
	if age := int64(tick) - int64(w>>tallyBits); age >= int64(look) {
		return 0
	}
	return int64(w & tallyMask)
}

// callWindow counts the last so many calls, whenever they were.
type callWindow struct {
	next   atomic.Uint64
	failed atomic.Int64
	slow   atomic.Int64
	marks  []atomic.Uint32
}

// The marks that a call leaves.
const (
	markFailed = 1 << iota
	markSlow
)

func newCallWindow(calls int) *callWindow {
	return &callWindow{marks: make([]atomic.Uint32, calls)}
}

// record puts the mark of a call in the place of an older one. The sums follow what was swapped, so they
// agree with the marks whatever the order of those who write.
func (w *callWindow) record(_ int64, failed, slow bool) {
	var mark uint32
	if failed {
		mark |= markFailed
	}
	if slow {
		mark |= markSlow
	}
	i := (w.next.Add(1) - 1) % uint64(len(w.marks))
	old := w.marks[i].Swap(mark)
	if d := int64(mark&markFailed) - int64(old&markFailed); d != 0 {
		w.failed.Add(d)
	}
	if d := int64(mark&markSlow) - int64(old&markSlow); d != 0 {
		w.slow.Add(d / markSlow)
	}
}

func (w *callWindow) counts(int64) Counts {
	failed, slow := max(0, w.failed.Load()), max(0, w.slow.Load())
	calls := int64(min(w.next.Load(), uint64(len(w.marks))))
	return Counts{Calls: calls, Failed: min(failed, calls), Slow: min(slow, calls)}
}
