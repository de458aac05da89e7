package backendtest

import (
	"maps"
	"math/big"

	"github.com/concord-go/concord/ratelimit"
)

func newOracleLimit(l ratelimit.Limit) oracleLimit {
	per := l.Per.Microseconds()
	windows := func(length, older, back, unit, parts int64) oracleLimit {
		c := &sliceCounter{n: l.N, length: length, older: older, back: back, unit: unit, parts: parts, units: map[int64]int64{}}
		return oracleLimit{Limit: l, counter: c, most: l.N, parts: parts}
	}
	switch l.Algorithm {
	case ratelimit.FixedWindow:
		return windows(per, 0, 1, 0, 1)
	case ratelimit.SlidingWindow: // in the finest of these units in which the sums of a script are exact
		unit := int64(1)
		for product(3*l.N, per/unit).Cmp(big.NewInt(1<<53)) > 0 {
			unit *= 1000
		}
		return windows(per, 1, 1, unit, per/unit)
	case ratelimit.StrictWindow:
		tenth := (per + 9) / 10
		return windows(tenth, 10, 11, 0, 1)
	}
	burstTime := product(l.Burst, per)
	c := &bucketCounter{n: l.N, per: per, burst: l.Burst, burstTime: burstTime.Div(burstTime, big.NewInt(l.N)).Int64(), level: new(big.Int)}
	return oracleLimit{Limit: l, counter: c, most: l.Burst, parts: per}
}

// bucketCounter is a TokenBucket. Of the parts of a unit, which are as many as Per has microseconds, N
// leave in each. An earlier instant has that much more in it: a bucket is kept as the instant at which it
// is empty of calls, and that does not move when a clock is set back.
type bucketCounter struct {
	n, per, burst int64
	burstTime     int64 // whole microseconds for which a burst is counted
	at            int64
	level         *big.Int
}

func (c *bucketCounter) counted(at int64) *big.Int {
	level := product(c.n, at-c.at)
	if level.Sub(c.level, level); level.Sign() < 0 {
		level.SetInt64(0)
	}
	return level
}

func (c *bucketCounter) advance(at int64) {
	c.level, c.at = c.counted(at), at
	if c.time() > 2*(c.burstTime+ratelimit.MaxWait.Microseconds()) { // the clock went back far
		c.level = product(c.burst, c.per)
	}
}

// take leaves no more than what is gone after twice the time of the burst, and the longest wait.
func (c *bucketCounter) take(units int64) {
	c.level.Add(c.level, product(units, c.per))
	if most := 2*c.burstTime + ratelimit.MaxWait.Microseconds(); c.time() > most {
		c.level = product(c.n, most)
	}
}

func (c *bucketCounter) give(units int64) {
	if c.level.Sub(c.level, product(units, c.per)); c.level.Sign() < 0 {
		c.level.SetInt64(0)
	}
}

// time returns how many whole microseconds it takes until nothing is counted.
func (c *bucketCounter) time() int64 {
	return new(big.Int).Div(c.level, big.NewInt(c.n)).Int64()
}

// sliceCounter is one of the windows. The clock cuts time into slices, each with a count of its own, and
// the present slice and some older ones are counted. A clock that went back stands still at the begin of
// the latest slice; if it went back by many slices, all is forgotten.
type sliceCounter struct {
	n      int64
	length int64 // of a slice, in µs
	older  int64 // slices that are counted beside the present one
	back   int64 // slices by which a clock may have gone back
	unit   int64 // of the time by which older slices are counted less; 0 if they are counted in full
	parts  int64 // of a unit
	now    int64 // number of the present slice
	units  map[int64]int64
}

func (c *sliceCounter) advance(at int64) {
	switch slice := at / c.length; {
	case slice < c.now-c.back:
		c.now, c.units = slice, map[int64]int64{}
	case slice > c.now:
		c.now = slice
		maps.DeleteFunc(c.units, func(slice, _ int64) bool { return slice < c.now-c.older })
	}
}

func (c *sliceCounter) counted(at int64) *big.Int {
	at = max(at, c.now*c.length)
	now, sum := at/c.length, new(big.Int)
	for slice := now - c.older; slice <= now; slice++ {
		parts := c.parts
		if c.unit > 0 && slice < now {
			parts -= at % c.length / c.unit
		}
		sum.Add(sum, product(c.units[slice], parts))
	}
	return sum
}

func (c *sliceCounter) take(units int64) { c.units[c.now] = min(c.n, c.units[c.now]+units) }

// give takes from the newest slice first.
func (c *sliceCounter) give(units int64) {
	for slice := c.now; slice >= c.now-c.older; slice-- {
		m := min(units, c.units[slice])
		c.units[slice] -= m
		units -= m
	}
}
