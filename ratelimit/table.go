package ratelimit

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
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
	states map[uint64]*state    // by the hash of the key
	shared *[crowded]*state     // of keys for which there is no room
	_      [cacheLine - 24]byte // a cache line of its own
}

const cacheLine = 64

// state is what is kept of a key for policies of one shape. It fills one cache line.
type state struct {
	key    string
	next   *state   // of the same hash: for policies of another shape, or of another key
	policy *Policy  // of the last op; nil when the state is forgotten
	few    [3]int64 // the words, if they are few
	more   *[]int64 // the words, else
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
	op.Policy.decide(s.find(t.size, hash, op, now).words(), now, op, d)
	s.mu.Unlock()
}

// place is where a key's state is, for those who ask again and again.
type place struct {
	table *Table
	shard *shard
	state *state
}

// allow says whether a take is allowed, and nothing else. at remembers the place of the key, which must be
// the same each time.
func (t *Table) allow(op *Op, at *atomic.Pointer[place]) (allowed bool) {
	if p := at.Load(); p != nil && p.table == t {
		p.shard.mu.Lock()
		if known := p.state.policy == op.Policy; known {
			allowed = op.Policy.allow(p.state.words(), t.Now(), op)
			p.shard.mu.Unlock()
			return allowed
		}
		p.shard.mu.Unlock()
	}
	hash := maphash.String(t.seed, op.Key)
	s := &t.shards[hash%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := t.Now()
	st := s.find(t.size, hash, op, now)
	at.Store(&place{t, s, st})
	return op.Policy.allow(st.words(), now, op)
}

// find returns the state for an op, which may be new.
func (s *shard) find(size int, hash uint64, op *Op, now int64) *state {
	for st := s.states[hash]; st != nil; st = st.next {
		if st.key == op.Key && st.fits(op.Policy) {
			return st
		}
	}
	s.sweep(size, now)
	if len(s.states) >= size {
		if s.shared == nil {
			s.shared = new([crowded]*state)
		}
		return share(&s.shared[hash/shards%crowded], op.Policy)
	}
	if s.states == nil {
		s.states = make(map[uint64]*state)
	}
	st := newState(strings.Clone(op.Key), op.Policy) // the caller's text may be part of a large one
	st.next = s.states[hash]
	s.states[hash] = st
	return st
}

// share returns one of some shared states, the one for policies of this shape.
func share(all **state, p *Policy) *state {
	for st := *all; st != nil; st = st.next {
		if st.fits(p) {
			return st
		}
	}
	st := newState("", p)
	*all, st.next = st, *all
	return st
}

// sweep looks at some states and forgets those in which nothing counts any more.
func (s *shard) sweep(size int, now int64) {
	looked := 0
	for hash, first := range s.states {
		if looked++; first.rests(now) {
			first.forget()
			delete(s.states, hash)
		}
		if looked >= probes && len(s.states) < size || looked >= 10*probes {
			return
		}
	}
}

func newState(key string, p *Policy) *state {
	st := &state{key: key, policy: p}
	if p.words > len(st.few) {
		more := make([]int64, p.words)
		st.more = &more
	}
	return st
}

// fits reports whether the words are such as a policy needs, and takes note of it if so.
func (st *state) fits(p *Policy) bool {
	if st.policy == p {
		return true
	}
	if st.policy.shape != p.shape {
		return false
	}
	st.policy = p
	return true
}

func (st *state) words() []int64 {
	if st.more != nil {
		return *st.more
	}
	return st.few[:]
}

// rests reports whether nothing counts any more in a state and those that follow.
func (st *state) rests(now int64) bool {
	for ; st != nil; st = st.next {
		if st.policy.Rest(st.words(), now) > 0 {
			return false
		}
	}
	return true
}

// forget tells those who know the place of a state, or of those that follow, to look again.
func (st *state) forget() {
	for ; st != nil; st = st.next {
		st.policy = nil
	}
}
