package breaker

// State is what a [Breaker] does with calls.
type State uint8

// The states.
const (
	// Closed lets every call through and counts what comes of it.
	Closed State = iota
	// Open lets none through. The first call after its time makes it HalfOpen.
	Open
	// HalfOpen lets a few through, to try.
	HalfOpen
	// Ramping lets a growing share through, from a twentieth to all.
	Ramping
)

// String returns the name of the state.
func (s State) String() string { return name(s, "closed", "open", "half-open", "ramping") }

// Reason says why a call was rejected or a state has changed.
type Reason string

// The reasons.
const (
	TooManyFailures Reason = "too many failures" // the failure rate was reached
	TooManySlow     Reason = "too many slow"     // the slow-call rate was reached
	Decided         Reason = "decided by others" // see [Voter]
	Forced          Reason = "forced"            // ForceOpen, ForceClose, ObserveOnly, Reset
	Probing         Reason = "probing"           // half-open: every probe slot is taken
	Recovering      Reason = "recovering"        // ramping: this call was not in the share
	Recovered       Reason = "recovered"         // the probes went well, or the ramp is over
)

// MaxProbes is the most that Options.Probes may be.
const MaxProbes = 16

// core is the state as the rules see it: a value that can be compared. Instants are nanoseconds of
// the machine's own clock.
type core struct {
	state  State
	why    Reason // of the last change
	number uint64 // how many changes there were
	from   uint64 // calls that were let through under a lower number are late: they change nothing
	since  int64  // when the state began
	until  int64  // Open: when to try; Ramping: when it is over
	trips  uint8  // how often it has opened without a stable close in between
	heard  uint64 // how many decisions of the fleet were followed

	// HalfOpen: the probe slots, and what the probes reported.
	slots    [MaxProbes]slot
	lastID   uint64 // never given twice, so that a late probe finds no slot
	reported int
	failed   int
	slow     int
}

// slot is the place of one probe. One that does not report gives it back at the deadline, so that a
// lost probe cannot keep the breaker half-open for ever.
type slot struct {
	id       uint64 // 0 is free
	deadline int64
}

// enter returns the core after a change to state s. What is let through from now on does not mix with
// what was let through before.
func (c core) enter(s State, why Reason, now int64) core {
	next := core{state: s, why: why, number: c.number + 1, since: now, trips: c.trips, heard: c.heard, lastID: c.lastID}
	next.from = next.number
	return next
}
