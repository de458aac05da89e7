package ratelimit

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// asked is an engine that has to be asked.
type asked struct{ table *Table }

func (a asked) Capabilities() Capabilities { return Capabilities{} }

func (a asked) Apply(_ context.Context, ops []Op, out []Outcome) {
	for i := range ops {
		out[i].Decision = a.table.Decide(ops[i])
	}
}

// What is known of keys is bounded in a flood of them, which are then decided by the engine, and is
// forgotten when nobody asks any more.
func TestKnownKeysAreBounded(t *testing.T) {
	p, err := NewPolicy(Limit{Name: "l", N: 10, Per: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := New(asked{NewTable(1 << 10)}, p, &Options{Allowance: &Allowance{Life: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		h := l.force.Load().hot
		known := func() int {
			h.mu.RLock()
			defer h.mu.RUnlock()
			return len(h.keys)
		}
		for i := range maxHot {
			h.find(strconv.Itoa(-i))
		}
		for i := range 100 {
			if d, err := l.Allow(t.Context(), strconv.Itoa(i)); err != nil || !d.Allowed || d.Remaining != 9 || d.Source != FromEngine {
				t.Fatalf("key %d: %+v, %v", i, d, err)
			}
		}
		if n := known(); n != maxHot {
			t.Errorf("%d keys are known", n)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := known(); n != 0 {
			t.Errorf("%d keys are known for ever", n)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
