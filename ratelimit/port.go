package ratelimit

import (
	"context"
	"time"
)

// Backend is the port: what the limiter needs of an engine.
//
// Its methods may be called by several goroutines. The ctx of Apply always has a deadline, set by the
// core.
type Backend interface {
	// Apply executes each op as one atomic step on its key and puts the answer into out, which is as
	// long as ops: a Decision, or Err if that op was not answered. What it did then is unknown: the op
	// may have been executed once, or not at all, but not twice. An error that matches
	// [ErrUnavailable] may go away.
	//
	// Ops on one key are executed in their order, others in any. A decision is what [Policy.Decide]
	// says of the key's state and the engine's clock, to the microsecond. The state of a key is
	// forgotten when nothing in it counts any more, and never earlier.
	Apply(ctx context.Context, ops []Op, out []Outcome)

	// Capabilities says what this engine can do.
	Capabilities() Capabilities
}

// Local is implemented by engines in this process.
type Local interface {
	// Table returns what decides at once, in place of Apply, or nil while the engine has to be asked.
	Table() *Table
}

// Capabilities says how an engine decides.
type Capabilities struct {
	Clock  bool // it decides by one clock for all processes; without it each decides by its own
	Block  bool // it is too slow to be asked for each call: limiters take allowances
	Prompt bool // calls return by the deadline of their ctx, whatever the network does
}

// OpKind tells ops apart.
type OpKind uint8

// The kinds of op.
const (
	OpTake   OpKind = iota + 1 // count N units if they fit, within MaxWait
	OpPeek                     // as Take, and count nothing
	OpGive                     // count N units less, as far as they are there
	OpCharge                   // count N units even if they do not fit; a window keeps no more than its N
	OpReset                    // count nothing any more
)

// Op is one question about one key.
type Op struct {
	Kind    OpKind
	Key     string // 1 to MaxKey bytes of any value
	Policy  *Policy
	N       int64         // units: 1 to the smallest Rule.Most of a limit that refuses, but 0 for a Reset
	MaxWait time.Duration // Take: how long the caller would wait; whole microseconds
}

// Outcome is the answer to an op.
type Outcome struct {
	Decision Decision // if Err is nil
	Err      error    // the op was not answered
}

// MaxKey is how many bytes a key has at most.
const MaxKey = 512
