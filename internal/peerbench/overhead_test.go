package peerbench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// callsPerTurn is how many calls a turn has, in all goroutines together.
const callsPerTurn = 1 << 14

var errFails = errors.New("it fails")

// wrapper is one way to make calls. calls makes n of them and fails if one did not end as it should;
// the loop is its own, so that nothing is measured but the calls.
type wrapper struct {
	name  string
	calls func(ctx context.Context, n int) error
}

// clock reads the monotonic clock, which costs on some machines more than all the rest of a call, and
// which who judges by time cannot do without.
func clock() wrapper {
	start := time.Now()
	return wrapper{"clock", func(_ context.Context, n int) error {
		var late time.Duration
		for range n {
			late = time.Since(start)
		}
		if late < 0 {
			return errFails
		}
		return nil
	}}
}

// nothing is what is called.
func nothing(context.Context) (int, error) { return 1, nil }

// fails is what is called to open a breaker.
func fails(context.Context) (int, error) { return 0, errFails }

// overhead lets the wrappers take turns, from one goroutine and from eight, and compares the first of
// them with the others and with the clock. Of the turns of each the fastest counts, since what
// disturbs only slows down. With several goroutines it is the time over all calls.
func overhead(b *testing.B, wrappers ...wrapper) {
	wrappers = append(wrappers, clock())
	for _, goroutines := range []int{1, 8} {
		b.Run("goroutines="+strconv.Itoa(goroutines), func(b *testing.B) {
			turns := make([][]time.Duration, len(wrappers))
			allocs := make([]uint64, len(wrappers))
			for _, w := range wrappers {
				callTurn(b, w, goroutines)
			}
			b.ReportAllocs()
			for b.Loop() {
				for i, w := range wrappers {
					took, n := callTurn(b, w, goroutines)
					turns[i] = append(turns[i], took)
					allocs[i] += n
				}
			}
			b.ReportMetric(0, "ns/op")
			ours := slices.Min(turns[0])
			for i, w := range wrappers {
				fastest := slices.Min(turns[i])
				b.ReportMetric(float64(fastest)/callsPerTurn, w.name+"-ns/call")
				perCall := float64(allocs[i]) / float64(callsPerTurn*len(turns[i]))
				b.ReportMetric(math.Round(10*perCall)/10, w.name+"-allocs/call") // the turn itself makes a few
				if i > 0 {
					b.ReportMetric(float64(fastest)/float64(ours), "x-"+w.name)
				}
			}
		})
	}
}

// callTurn is one turn: how long it took, and how often memory was allocated.
func callTurn(b *testing.B, w wrapper, goroutines int) (time.Duration, uint64) {
	b.Helper()
	ctx := context.Background()
	errs := make([]error, goroutines)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	if goroutines == 1 {
		errs[0] = w.calls(ctx, callsPerTurn)
	} else {
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = w.calls(ctx, callsPerTurn/goroutines) })
		}
		all.Wait()
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if err := errors.Join(errs...); err != nil {
		b.Fatal(fmt.Errorf("%s: %w", w.name, err))
	}
	return took, after.Mallocs - before.Mallocs
}
