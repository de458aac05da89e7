package ratelimit_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// A flood of keys takes no more memory than the table is for, and makes it forget nothing that counts.
func TestFloodOfKeys(t *testing.T) {
	const known, flood, room = 100, 200_000, 1 << 12
	p := policy(t, ratelimit.Limit{Name: "l", N: 1, Per: 24 * time.Hour})
	table := ratelimit.NewTable(room)
	take := func(key string) bool {
		return table.Decide(ratelimit.Op{Kind: ratelimit.OpTake, Key: key, Policy: p, N: 1}).Allowed
	}
	for i := range known {
		if !take(fmt.Sprint("known", i)) {
			t.Fatalf("key %d is refused", i)
		}
	}
	before := heap()
	for i := range flood {
		take(fmt.Sprint("flood", i))
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d keys in a table for %d take %d bytes", flood, room, grown)
	}
	for i := range known {
		if take(fmt.Sprint("known", i)) {
			t.Errorf("key %d was forgotten", i)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
