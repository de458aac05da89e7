package retry_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/retry"
)

var update = flag.Bool("update", false, "record the delays of backoffs")

// TestGoldenDelays compares the first hundred delays of each backoff with a table that is read by people,
// so that no change of a number goes unnoticed.
func TestGoldenDelays(t *testing.T) {
	const first, longest = 100 * time.Millisecond, time.Hour
	backoffs := []struct {
		name    string
		backoff retry.Backoff
	}{
		{"constant", retry.Constant(first)},
		{"linear", retry.Linear(first, longest)},
		{"exponential", retry.Exponential(first, longest)},
		{"fibonacci", retry.Fibonacci(first, longest)},
		{"full", retry.FullJitter(first, longest)},
		{"equal", retry.EqualJitter(first, longest)},
		{"decorrelated", retry.Decorrelated(first, longest)},
	}
	var table strings.Builder
	table.WriteString("number")
	previous := make([]time.Duration, len(backoffs))
	random := make([]*rand.Rand, len(backoffs))
	for i, b := range backoffs {
		table.WriteString("\t" + b.name)
		random[i] = rand.New(rand.NewPCG(1, 2))
	}
	for number := 1; number <= 100; number++ {
		fmt.Fprintf(&table, "\n%d", number)
		for i, b := range backoffs {
			previous[i] = b.backoff(number, previous[i], random[i].Int64N)
			fmt.Fprintf(&table, "\t%v", previous[i])
		}
	}
	table.WriteString("\n")

	file := filepath.Join("testdata", "delays.golden")
	if *update {
		if err := os.WriteFile(file, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(table.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("line %d differs: record it with -update if that is meant\nwant %s", i+1, line)
		}
	}
	if len(got) != len(strings.Split(string(want), "\n")) {
		t.Error("more lines than recorded")
	}
}

// least and most are the ends of what a random number can be.
func least(int64) int64  { return 0 }
func most(n int64) int64 { return n - 1 }

func TestJitterBounds(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name      string
		backoff   retry.Backoff
		number    int
		previous  time.Duration
		low, high time.Duration
	}{
		{"full", retry.FullJitter(s, time.Minute), 1, 0, 0, s},
		{"full", retry.FullJitter(s, time.Minute), 4, 0, 0, 8 * s},
		{"full", retry.FullJitter(s, time.Minute), 50, 0, 0, time.Minute},
		{"equal", retry.EqualJitter(s, time.Minute), 1, 0, s / 2, s},
		{"equal", retry.EqualJitter(s, time.Minute), 4, 0, 4 * s, 8 * s},
		{"decorrelated", retry.Decorrelated(s, time.Minute), 1, 0, s, 3 * s},
		{"decorrelated", retry.Decorrelated(s, time.Minute), 7, 4 * s, s, 12 * s},
		{"decorrelated", retry.Decorrelated(s, time.Minute), 7, 40 * s, s, time.Minute},
	} {
		low, high := c.backoff(c.number, c.previous, least), c.backoff(c.number, c.previous, most)
		if low != c.low || high != c.high {
			t.Errorf("%s, number %d after %v: %v to %v, want %v to %v", c.name, c.number, c.previous, low, high, c.low, c.high)
		}
	}
}

// Whatever is asked for, a delay is never negative, never above the longest, and nothing panics.
func TestDelaysStayInBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	odd := []time.Duration{math.MinInt64, -1, 0, 1, 2, time.Second, math.MaxInt64/3 + 1, math.MaxInt64 - 1, math.MaxInt64}
	pick := func() time.Duration {
		if random.IntN(2) == 0 {
			return odd[random.IntN(len(odd))]
		}
		return time.Duration(random.Int64() >> random.IntN(63))
	}
	numbers := []int{math.MinInt, -1, 0, 1, 2, 33, 34, 62, 63, 64, 65, 91, 92, 93, 100, math.MaxInt}
	for range 20_000 {
		first, longest, previous := pick(), pick(), pick()
		number := numbers[random.IntN(len(numbers))]
		for name, b := range map[string]retry.Backoff{
			"linear":       retry.Linear(first, longest),
			"exponential":  retry.Exponential(first, longest),
			"fibonacci":    retry.Fibonacci(first, longest),
			"full":         retry.FullJitter(first, longest),
			"equal":        retry.EqualJitter(first, longest),
			"decorrelated": retry.Decorrelated(first, longest),
			"constant":     retry.Constant(max(0, min(first, longest))),
		} {
			if d := b(number, previous, random.Int64N); d < 0 || d > max(0, longest) {
				t.Fatalf("%s of %d, %d: number %d after %d is %d", name, first, longest, number, previous, d)
			}
		}
	}
}

// Without jitter, delays do not shrink from one attempt to the next.
func TestDelaysGrow(t *testing.T) {
	for name, b := range map[string]retry.Backoff{
		"linear":      retry.Linear(time.Millisecond, math.MaxInt64),
		"exponential": retry.Exponential(time.Millisecond, math.MaxInt64),
		"fibonacci":   retry.Fibonacci(time.Millisecond, math.MaxInt64),
	} {
		last := time.Duration(0)
		for number := 1; number <= 200; number++ {
			d := b(number, last, least)
			if d < last {
				t.Fatalf("%s: %v after %v at %d", name, d, last, number)
			}
			last = d
		}
		if last < 100*time.Millisecond {
			t.Errorf("%s: only %v in the end", name, last)
		}
	}
}
