package faultnet

import "time"

// Rules are the faults of a [Network]. The zero value is a network without faults.
type Rules struct {
	// Requests are the faults of what clients send.
	Requests Faults

	// Replies are the faults of what servers send, messages that nobody asked for included.
	Replies Faults

	// After spares the beginning of each connection: Latency and the faults with a rate begin with
	// the first chunk of a request for which it returns true. Nil spares nothing. It must not call
	// the Network.
	After func(request []byte) bool

	// HalfOpen takes the other end of every connection away without a sign: reads block, writes
	// succeed and go nowhere, what was under way is gone, and neither end learns that the other
	// has closed. A connection that was hit stays so when the rule is lifted.
	HalfOpen bool

	// Cut closes every connection and refuses new ones.
	Cut bool
}

// Faults are what happens to one direction of a connection. A rate is the chance from 0 to 1 that
// a fault hits a chunk; a value beyond counts as the nearer of the two, and a negative duration as
// zero.
type Faults struct {
	// Latency is how much later each chunk arrives. Chunks keep their order.
	Latency time.Duration

	// Jitter is the most that is added to Latency, anything up to it with the same chance.
	Jitter time.Duration

	// LateRate is the rate of chunks that Latency and Jitter apply to. Zero means all.
	LateRate float64

	// Lose is the rate at which a chunk and all that follows in this direction is swallowed, while
	// the connection stays open until its client closes it. It is not undone by other rules.
	Lose float64

	// Reset is the rate at which a chunk is replaced by a reset (RST) of the connection, which both
	// ends see. What was sent before it arrives.
	Reset float64

	// Stall holds everything back, the end of the connection as well, until the rule is lifted.
	// Then it arrives in its order, even if its sender has closed the connection meanwhile.
	Stall bool
}

// direction is one of the two directions of a connection.
type direction int

const (
	requests direction = iota
	replies
)

func (d direction) opposite() direction { return 1 - d }

func (r *Rules) of(d direction) *Faults {
	if d == requests {
		return &r.Requests
	}
	return &r.Replies
}

// delay is how late a chunk with these dice is.
func (f *Faults) delay(t throw) time.Duration {
	if f.LateRate > 0 && t.late >= f.LateRate {
		return 0
	}
	return max(f.Latency, 0) + time.Duration(t.jitter*float64(max(f.Jitter, 0)))
}
