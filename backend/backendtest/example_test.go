package backendtest_test

import (
	"fmt"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

// Each call is noted with the instants between which it was let through: when it was sent, and when the
// answer was there.
func ExamplePassed() {
	limit := ratelimit.Limit{Name: "strict", N: 2, Per: time.Second, Algorithm: ratelimit.StrictWindow}
	start := time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)
	var log backendtest.Passed
	for _, ms := range []time.Duration{0, 400, 1100, 1200} {
		sent := start.Add(ms * time.Millisecond)
		log.Add(sent, sent.Add(5*time.Millisecond), 1)
	}
	fmt.Println(log.Check(limit, 0))
	fmt.Println(log.Check(limit, 1))
	// Output:
	// backendtest: a strict window of 2 for each 1s let 3 units through in 805ms, from 2026-06-01 12:00:00.4 +0000 UTC on; at most 2 and 0 are right
	// <nil>
}

// The oracle gives the answer that an engine must give, to the microsecond.
func ExampleLimitOracle() {
	policy, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "burst", N: 3, Per: time.Second, Burst: 2})
	if err != nil {
		panic(err)
	}
	oracle := backendtest.NewLimitOracle(policy)
	noon := time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	for _, at := range []int64{0, 100_000, 200_000} {
		d := oracle.Decide(noon+at, ratelimit.Op{Kind: ratelimit.OpTake, Policy: policy, N: 1})
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter, d.ResetAfter)
	}
	// Output:
	// true 1 0s 333.334ms
	// true 0 0s 566.667ms
	// false 0 133.334ms 466.667ms
}
