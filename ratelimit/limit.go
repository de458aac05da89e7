package ratelimit

import "time"

// Algorithm says how a [Limit] counts.
type Algorithm uint8

// The algorithms.
const (
	// TokenBucket lets Burst units through at once and then N for each Per, at an even pace. In any
	// time w it lets at most Burst + N*w/Per through. It is kept as one instant (GCRA, ITU-T I.371),
	// so a leaky bucket is the same with [Limiter.Wait].
	TokenBucket Algorithm = iota
	// FixedWindow lets N through in each window of length Per, as the clock cuts them: up to 2 N in a
	// time Per that lies across a cut.
	FixedWindow
	// SlidingWindow counts the window before with the part of it that is still within Per, as if its
	// units had come evenly. Unless they did, up to nearly 2 N fit into a time Per.
	SlidingWindow
	// StrictWindow never lets more than N through in any time Per. It keeps a count for each tenth of
	// it, and so may wait up to a tenth of Per longer than needed.
	StrictWindow
)

// String returns the name of the algorithm in lower case.
func (a Algorithm) String() string {
	names := [...]string{"token bucket", "fixed window", "sliding window", "strict window"}
	if int(a) < len(names) {
		return names[a]
	}
	return "unknown"
}

// Down says what a [Limit] decides while the engine does not answer.
type Down uint8

// The decisions.
const (
	Open   Down = iota // let all through: the limit protects less than the service is worth
	Closed             // let nothing through: the limit protects what must not be hurt
	Share              // let this process have its part, see Options.Share
)

// Limit is one limit of a [Policy]: at most N units for each Per.
type Limit struct {
	// Name tells the limits of a policy apart, in decisions, headers and metrics: 1 to 64 letters,
	// digits, "-", "_" and ".".
	Name string

	// N is how many units: 1 to 2^40.
	N int64

	// Per is the time for them: 1 µs to 366 days, in whole microseconds.
	Per time.Duration

	// Burst is how many units a [TokenBucket] lets through at once after a rest: 1 to 2^40, default
	// N. Together they must not stand for more than 10 years. The other algorithms have none.
	Burst int64

	// Algorithm says how it counts: [TokenBucket] unless set.
	Algorithm Algorithm

	// Down says what is decided while the engine does not answer: [Open] unless set.
	Down Down

	// Shadow limits are counted and told of, and refuse nothing: what does not fit is not counted.
	Shadow bool
}
