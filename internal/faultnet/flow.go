package faultnet

import (
	"math/rand/v2"
	"time"
)

// window is how many bytes may be under way in one direction before its sender has to wait.
const window = 256 << 10

// kind is what a chunk is. A later one overrules an earlier one as the end of a flow.
type kind int

const (
	data kind = iota
	fin       // the sender has closed
	rst       // the sender's end is broken
)

// chunk is what was sent at once, on its way.
type chunk struct {
	kind  kind
	bytes []byte
	due   time.Time // when it arrives, at the earliest
	fault bool      // a reset made by the rate Reset
	held  bool      // it was counted as held back by Stall
}

// flow is one direction of a link.
type flow struct {
	dice  *rand.Rand
	queue []chunk
	size  int // bytes in the queue

	ended     kind // how its sender has ended it; data: not yet
	delivered bool // fin has arrived
	lost      bool // by Lose
}

// throw is the dice of one chunk. All are thrown for each, so that a change of one rule leaves
// those of the others as they are.
type throw struct{ lose, reset, late, jitter float64 }

func newDice(seed uint64, connection int, d direction) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(connection)<<1|uint64(d)))
}

func (f *flow) throw() throw {
	return throw{f.dice.Float64(), f.dice.Float64(), f.dice.Float64(), f.dice.Float64()}
}

// fits reports whether n more bytes may be sent. Any number may when nothing is under way.
func (f *flow) fits(n int) bool { return f.size == 0 || f.size+n <= window }

// push puts a chunk behind the others, to arrive after delay and not before them.
func (f *flow) push(c chunk, delay time.Duration) {
	c.due = time.Now().Add(delay)
	f.size += len(c.bytes)
	f.queue = append(f.queue, c)
}

// take removes up to most bytes of the first chunk, which whole says is then gone.
func (f *flow) take(most int) (b []byte, whole bool) {
	c := &f.queue[0]
	b = c.bytes[:min(most, len(c.bytes))]
	c.bytes = c.bytes[len(b):]
	f.size -= len(b)
	if whole = len(c.bytes) == 0; whole {
		f.queue = f.queue[1:]
	}
	return b, whole
}

// drop empties the queue and returns how many bytes were in it.
func (f *flow) drop() int {
	n := f.size
	f.queue, f.size = nil, 0
	return n
}
