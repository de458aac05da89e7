package retry

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

const (
	// DefaultRatio is what a healthy answer adds to a Budget that names no ratio, in attempts.
	DefaultRatio = 0.1

	// DefaultFloor is how many attempts a Budget that names no floor grants each second without any
	// healthy answer.
	DefaultFloor = 1

	// DefaultCapacity is how many attempts a Budget holds at most that names no capacity.
	DefaultCapacity = 10

	maxFloor    = 1000
	maxCapacity = 100_000

	unit          = 1000             // of the level in an attempt
	floorWindow   = 10 * time.Second // how much the floor saves up
	levelBits     = 28               // of the word: 268 thousand attempts
	levelMask     = 1<<levelBits - 1 //
	clockMask     = 1<<36 - 1        // milliseconds: two years until it begins anew
	clockBackward = clockMask / 2
)

// BudgetOptions configure a [Budget]. The zero value of every field means its default; nil means
// all defaults. NewBudget copies them.
type BudgetOptions struct {
	// Ratio is what each healthy answer adds, in attempts: so the share of load that further attempts may
	// add in the long run. 0.001 to 1, default [DefaultRatio].
	Ratio float64

	// Floor is how many attempts each second grants by itself, for programs with too little traffic to
	// earn any: 1 to 1000, default [DefaultFloor]. It saves up ten seconds' worth at most.
	Floor int

	// NoFloor leaves the budget to what healthy answers add.
	NoFloor bool

	// Capacity is how many attempts the budget holds at most, and has at first: what may be sent at once
	// when all goes wrong. It counts for each process. At least the dearest cost and at most 100 000,
	// default [DefaultCapacity].
	Capacity float64

	// Costs are the prices of attempts.
	Costs Costs

	_ struct{}
}

// Costs say what an attempt costs, by what went wrong before it. The zero value of each means its
// default; others are 0.001 to 1000.
type Costs struct {
	Transient float64 // default 1
	Throttled float64 // default 1
	Timeout   float64 // default 2: the server may still be busy with the attempt before
	Unsent    float64 // default 0.2: the server did not notice the attempt before
	Hedge     float64 // default 1
}

// Budget bounds the load that further attempts and hedges add: each takes its cost, each healthy answer
// pays in a share. When a server is in trouble answers become rare, and so do further attempts,
// which is what lets it recover. First attempts are never refused.
//
// Make one with [NewBudget]. It may be shared by any number of Retriers and goroutines; it has no
// goroutine and needs no Close.
type Budget struct {
	name     string
	costs    [classes]uint64 // in thousandths of an attempt, like all that follows
	hedge    uint64
	answer   uint64 // what a healthy answer adds
	floor    uint64 // what a millisecond adds
	reserve  uint64 // up to which level it does
	capacity uint64
	start    time.Time

	// The level and the time up to which the floor was paid are one word, so that no two goroutines
	// can spend the same. It has a cache line of its own: others read the fields before it.
	_    [64]byte
	word atomic.Uint64
	_    [56]byte
}

// NewBudget returns a full budget. The name says what it protects, in errors: 1 to 128 bytes.
func NewBudget(name string, o *BudgetOptions) (*Budget, error) {
	opt, err := o.withDefaults(name)
	if err != nil {
		return nil, err
	}
	return opt.budget(name), nil
}

func (o *BudgetOptions) withDefaults(name string) (BudgetOptions, error) {
	var opt BudgetOptions
	if o != nil {
		opt = *o
	}
	fill := func(field *float64, value float64) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&opt.Ratio, DefaultRatio)
	fill(&opt.Capacity, DefaultCapacity)
	if opt.Floor == 0 && !opt.NoFloor {
		opt.Floor = DefaultFloor
	}
	c := &opt.Costs
	fill(&c.Transient, 1)
	fill(&c.Throttled, 1)
	fill(&c.Timeout, 2)
	fill(&c.Unsent, 0.2)
	fill(&c.Hedge, 1)

	var l limits
	l.check(name != "" && len(name) <= maxName, "name", "must have 1 to %d bytes", maxName)
	l.check(opt.Ratio >= 0.001 && opt.Ratio <= 1, "Ratio", "must be 0 or 0.001 to 1")
	l.check(opt.Floor >= 0 && opt.Floor <= maxFloor, "Floor", "must be 0 to %d", maxFloor)
	l.check(opt.Floor == 0 || !opt.NoFloor, "Floor", "must be 0 with NoFloor")
	cost := func(field string, value float64) {
		l.check(value >= 0.001 && value <= 1000, "Costs."+field, "must be 0 or 0.001 to 1000")
	}
	cost("Transient", c.Transient)
	cost("Throttled", c.Throttled)
	cost("Timeout", c.Timeout)
	cost("Unsent", c.Unsent)
	cost("Hedge", c.Hedge)
	l.check(opt.Capacity >= c.dearest() && opt.Capacity <= maxCapacity, "Capacity", "must be 0 or the dearest cost to %d", maxCapacity)
	return opt, errors.Join(l...)
}

func (c *Costs) dearest() float64 {
	return max(c.Transient, c.Throttled, c.Timeout, c.Unsent, c.Hedge)
}

// budget builds it from options that are filled in and checked.
func (o *BudgetOptions) budget(name string) *Budget {
	units := func(attempts float64) uint64 { return uint64(math.Round(attempts * unit)) }
	b := &Budget{
		name:     name,
		hedge:    units(o.Costs.Hedge),
		answer:   units(o.Ratio),
		floor:    uint64(o.Floor),
		capacity: units(o.Capacity),
		start:    time.Now(),
	}
	b.costs[ClassTransient] = units(o.Costs.Transient)
	b.costs[ClassThrottled] = units(o.Costs.Throttled)
	b.costs[ClassTimeout] = units(o.Costs.Timeout)
	b.costs[ClassUnsent] = units(o.Costs.Unsent)
	// Below the dearest cost the floor would never be enough for it.
	b.reserve = min(b.capacity, max(b.floor*uint64(floorWindow/time.Millisecond), units(o.Costs.dearest())))
	b.word.Store(b.capacity)
	return b
}

// Name returns the name.
func (b *Budget) Name() string { return b.name }

// Capacity returns how many attempts the budget holds at most.
func (b *Budget) Capacity() float64 { return float64(b.capacity) / unit }

// Level returns how many attempts are left now.
func (b *Budget) Level() float64 {
	level, _ := b.level(b.word.Load(), b.clock())
	return float64(level) / unit
}

// clock is the time since the budget was made.
func (b *Budget) clock() uint64 {
	return uint64(time.Since(b.start)/time.Millisecond) & clockMask
}

// level returns what a word is worth at a time, and the time up to which the floor is then paid.
func (b *Budget) level(word, now uint64) (level, paid uint64) {
	level, paid = word&levelMask, word>>levelBits
	passed := (now - paid) & clockMask
	if passed > clockBackward {
		return level, paid // another goroutine has read the clock later
	}
	if level < b.reserve {
		level = min(level+passed*b.floor, b.reserve)
	}
	return level, now
}

// deposit pays in for a healthy answer. A full budget, which is the rule, is read and not written.
func (b *Budget) deposit() { b.add(b.answer) }

func (b *Budget) add(amount uint64) {
	for {
		word := b.word.Load()
		level := word & levelMask
		if level >= b.capacity {
			return
		}
		if b.word.CompareAndSwap(word, word-level+min(level+amount, b.capacity)) {
			return
		}
	}
}

// take takes the cost of an attempt, or nothing and says what is missing.
func (b *Budget) take(cost uint64) *BudgetError {
	now := b.clock()
	for {
		word := b.word.Load()
		level, paid := b.level(word, now)
		if level < cost {
			return &BudgetError{
				Budget: b.name, Level: float64(level) / unit, Capacity: b.Capacity(), Cost: float64(cost) / unit,
			}
		}
		if b.word.CompareAndSwap(word, paid<<levelBits|(level-cost)) {
			return nil
		}
	}
}
