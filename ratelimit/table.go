package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shards  = 256
	crowded = 16 // shared states of a shard that is full
	probes  = 3  // states that are looked at for one that may go, with each new one
)

// Table keeps the states of keys in the memory of a process: what the memory backend is made of, and
// what limiters fall back to. Its methods may be called by several goroutines. The zero Table is not
// usable; make one with [NewTable].
//
// A state is forgotten only when nothing in it counts any more. When a table is full of states that
// count, new keys share some: they may be refused too early, and never let through too often.
type Table struct {
	seed   maphash.Seed
	size   int // of a shard
	start  time.Time
	micros int64 // of start
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	states map[string]*state
	shared *[crowded]state // of keys for which there is no room
	_      [40]byte        // a cache line of its own
}

// state is what is kept of a key.
type state struct {
	policy *Policy // of the last op
	words  []int64
	few    [5]int64 // words, if they are few
}

// NewTable returns a table for about size keys: at least 256.
func NewTable(size int) *Table {
	now := time.Now()
	return &Table{seed: maphash.MakeSeed(), size: max(1, size/shards), start: now, micros: now.UnixMicro()}
}

// Now returns the table's clock: it begins with the wall clock and goes on with the monotonic one.
func (t *Table) Now() int64 { return t.micros + int64(time.Since(t.start)/time.Microsecond) }

// Decide executes an op at the present.
func (t *Table) Decide(op Op) Decision {
	var d Decision
	t.decide(&op, &d)
	return d
}

// decide is Decide into a decision that is zero.
func (t *Table) decide(op *Op, d *Decision) {
	hash := maphash.String(t.seed, op.Key)
	s := &t.shards[hash%shards]
	s.mu.Lock()
	now := t.Now() // within the lock, so that it never goes back
	st := s.states[op.Key]
	if st == nil {
		st = s.enter(t.size, op, hash/shards, now)
	}
	if st.policy != op.Policy {
		st.use(op.Policy)
	}
	op.Policy.decide(st.words, now, op, d)
	s.mu.Unlock()
}

// enter makes room for a key.
func (s *shard) enter(size int, op *Op, hash uint64, now int64) *state {
	looked := 0
	for key, st := range s.states {
		if looked++; st.policy.Rest(st.words, now) == 0 {
			delete(s.states, key)
		}
		if looked >= probes && len(s.states) < size || looked >= 10*probes {
			break
		}
	}
	if len(s.states) >= size {
		if s.shared == nil {
			s.shared = new([crowded]state)
		}
		return &s.shared[hash%crowded]
	}
	if s.states == nil {
		s.states = make(map[string]*state)
	}
	st := &state{}
	s.states[op.Key] = st
	return st
}

// use brings the words into the shape that the policy needs. Those of another shape mean nothing to it.
func (st *state) use(p *Policy) {
	if st.policy == nil || st.policy.shape != p.shape {
		if st.words = st.few[:]; p.words <= len(st.few) {
			st.words = st.few[:p.words]
		} else {
			st.words = make([]int64, p.words)
		}
		clear(st.words)
	}
	st.policy = p
}
