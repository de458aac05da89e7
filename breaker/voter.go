package breaker

// Voter lets the breakers of a fleet decide together. It carries the votes between them, in
// a goroutine of its own; nothing waits for it, and while it is silent every breaker decides alone.
// A Voter belongs to one Breaker. Without one a breaker decides alone always.
//
// A decision opens a breaker that is closed, for its own open time; it then tries and closes by its own
// rules. Nothing that others decide keeps a breaker closed which has reason to open.
type Voter interface {
	// Join is called once, by [New], before the first call. vote tells how this instance judges; it
	// may be called at any time, by any goroutine, for as long as the program likes.
	Join(name string, vote func() Vote)

	// Opened returns how many decisions to open it has heard of since it joined. It is asked
	// in the path of every call, by several goroutines: it must be as quick as an atomic load.
	Opened() uint64
}

// Vote is how one instance judges.
type Vote struct {
	State  State
	Mode   Mode
	Number uint64 // rises with every change of the state
	Reason Reason // of the last change
	Counts Counts // see [Breaker.Counts]
}

func (b *Breaker) vote() Vote {
	ph := b.own.phase.Load()
	return Vote{State: ph.state, Mode: b.Mode(), Number: ph.number, Reason: ph.why, Counts: b.own.counts(ph)}
}
