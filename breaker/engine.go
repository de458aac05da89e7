package breaker

import "time"

// Engine decides in a [Breaker] in place of the engine of this package. Its methods are called by
// several goroutines, are quick and never wait for a call to end. Context, classification, modes, hooks
// and errors stay with the Breaker. Package gobreakerengine has one.
type Engine interface {
	// Admit lets one call begin, and returns the func that is told its outcome, at most once, and
	// perhaps never: the engine must see to it that a lost call cannot block others for ever. An
	// outcome that is late must change nothing. If the call may not begin the func is nil and the
	// refusal says why.
	Admit() (report func(Outcome), refused *Refusal)

	// State returns what was decided last.
	State() State

	// Counts returns what it judges by at present.
	Counts() Counts

	// Reset closes, with nothing remembered. Outcomes of earlier calls are late. It is not a change to
	// be told of.
	Reset()
}

// Refusal says why an [Engine] lets no call through.
type Refusal struct {
	State  State
	Reason Reason
	Until  time.Time // when it will let one through to try; zero if nobody knows
}

// NewEngine makes the engine for the breaker of that name. changed must be called after every change of
// the state, and never under a lock that a method of the engine takes: it runs hooks, which may call the
// breaker. It may not be called before NewEngine has returned.
type NewEngine func(name string, changed func(from, to State)) (Engine, error)
