package ratelimit

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func of(tb testing.TB, limits ...Limit) *Policy {
	tb.Helper()
	p, err := NewPolicy(limits...)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// Policies of different shapes count for the same key side by side, also when keys must share.
func TestShapesSideBySide(t *testing.T) {
	limit := Limit{Name: "l", N: 3, Per: 24 * time.Hour}
	window := limit
	window.Algorithm = StrictWindow
	both := []*Policy{of(t, limit), of(t, window)}
	for _, others := range []int{0, 100 * shards} {
		table := NewTable(0)
		for i := range others {
			table.Decide(Op{Kind: OpTake, Key: fmt.Sprint("other", i), Policy: of(t, Limit{Name: "l", N: 1, Per: 24 * time.Hour, Algorithm: FixedWindow}), N: 1})
		}
		for i := range 5 {
			for _, p := range both {
				if got := table.Decide(Op{Kind: OpTake, Key: "key", Policy: p, N: 1}).Allowed; got != (i < 3) {
					t.Errorf("beside %d others: call %d under a %v is allowed: %v", others, i, p.limits[0].Algorithm, got)
				}
			}
		}
	}
}

// Keys of the same hash are told apart, and forgotten together.
func TestEqualHashes(t *testing.T) {
	const hash, room = 7, 2
	p := of(t, Limit{Name: "l", N: 1, Per: time.Minute})
	s, now := &shard{}, begin
	for i, want := range []bool{true, false, false} {
		for _, key := range []string{"a", "b", "c"} {
			op := &Op{Kind: OpTake, Key: key, Policy: p, N: 1}
			if got := p.Decide(s.find(room, hash, op, now).words(), now, op).Allowed; got != want {
				t.Errorf("call %d for %s is allowed: %v", i, key, got)
			}
		}
	}
	if s.sweep(room, now+int64(time.Minute/time.Microsecond)); len(s.states) > 0 {
		t.Errorf("%d are kept in which nothing counts", len(s.states))
	}
}

// Whoever knows the place of a key looks again when it was forgotten.
func TestPlaceIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := of(t, Limit{Name: "l", N: 1, Per: time.Minute})
		table := NewTable(0)
		var at atomic.Pointer[place]
		op := &Op{Kind: OpTake, Key: "key", Policy: p, N: 1}
		for i, want := range []bool{true, false} {
			if got := table.allow(op, &at); got != want {
				t.Errorf("call %d is allowed: %v", i, got)
			}
		}
		time.Sleep(time.Minute)
		for i := range 100 * shards { // nothing counts for the key, and others want its room
			table.Decide(Op{Kind: OpTake, Key: fmt.Sprint("other", i), Policy: p, N: 1})
		}
		if at.Load().state.policy != nil {
			t.Fatal("it was not forgotten")
		}
		if table.Decide(*op).Allowed {
			t.Error("there is room in a table that is full")
		}
		if table.allow(op, &at) {
			t.Error("a call was counted in a place that was forgotten")
		}
	})
}

// A state of one bucket fills one cache line, so that a decision waits for memory once.
func TestSizeOfState(t *testing.T) {
	if n := unsafe.Sizeof(state{}); n != cacheLine {
		t.Errorf("a state takes %d bytes, want %d", n, cacheLine)
	}
	if n := unsafe.Sizeof(shard{}); n != cacheLine {
		t.Errorf("a shard takes %d bytes, want %d", n, cacheLine)
	}
}
