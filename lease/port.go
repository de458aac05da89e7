package lease

import (
	"context"
	"time"
)

// Backend is the port: what lock, election and membership need of an engine.
//
// All methods may be called by several goroutines. Every verb that talks to the engine is one
// atomic step there and idempotent by attempt. The ctx always has a deadline, set by the core; a
// verb returns when the engine has answered or the ctx has ended. What the engine did is then
// unknown. An error means that the question was not answered; it matches [ErrUnavailable] when
// asking again may help. What the engine refused is not an error but a [Status].
//
// Arguments belong to the caller; a backend keeps no slice of them.
type Backend interface {
	// Acquire asks for a seat for the claim and answers Granted, Queued, Held, Full, Conflict or
	// Gone.
	//
	// A claim that is seated and valid already is answered Granted with its old token and the life
	// it has left. One that is waiting already is kept alive and stays in its place. An attempt
	// that was released is answered Gone and never granted again. A request that reaches the
	// engine after the ctx's deadline has no effect.
	Acquire(ctx context.Context, c Claim) (Answer, error)

	// AcquireAll is Acquire for several keys: it seats the claims in the engine's one global order
	// of keys and stops at the first that does not fit. The answers stand where the claims stand;
	// a claim that was not reached is answered Unknown. Called again, it goes on. Without Queue,
	// which all claims have or none, it seats all or none. Each claim has a key and an attempt of
	// its own; see [ValidateAll]. Engines whose Capabilities lack MultiKey return [ErrUnsupported].
	AcquireAll(ctx context.Context, claims []Claim) ([]Answer, error)

	// Renew gives each claim a new life of TTL and answers in the order of the items, always one
	// answer for each: Granted, Queued, Unknown, or Err set when that item got no answer. It never
	// creates anything: a claim that has ended is Unknown. A renewal never shortens a life.
	//
	// Items with Waiting set are claims whose owner waits; these renewals also grant whatever is
	// due on their keys. All items of one call are refreshed before the first grant is made.
	Renew(ctx context.Context, items []Renewal) []Answer

	// Release ends a claim, seated or waiting, and grants to whoever is next. Once it was executed
	// the attempt is never queued or granted again, provided Uncertain was set if any Acquire of
	// it went without an answer.
	Release(ctx context.Context, r Release) (Released, error)

	// Revoke ends the seat with the given token from outside, or asks its holder to leave. It
	// reports whether such a seat was found.
	Revoke(ctx context.Context, r Revocation) (bool, error)

	// Inspect reads who is seated and who waits. It changes nothing.
	Inspect(ctx context.Context, key string) (State, error)

	// Seats lists the valid seats of a key, however many, a part at a time: it begins at cursor "" and
	// goes on at next, until that is "". A seat that is there all the while is listed, maybe twice; one
	// that comes or goes meanwhile is listed or not. It changes nothing.
	Seats(ctx context.Context, key, cursor string) (part []Party, next string, err error)

	// Watch tells the owner of an attempt what happens to it, from before the first Acquire until
	// stop is called. It never talks to the engine itself. Events are a hint: they may be lost or
	// late, and come from a goroutine of the backend, so notify must not block. No notify is
	// running or will start when stop has returned.
	Watch(key string, a Attempt, notify func(Event)) (stop func())

	// Observe calls notify for every change of an announced key, one after the other and in order,
	// until ctx ends, and returns its error. The first call has the kind ChangeGap: changes after it
	// are told. It comes again whenever changes may have been missed, never silently; Inspect or Seats
	// then tells the state. The end of a seat that lapses is told at most [MaxNotice] after the engine
	// has noticed it, also when nobody else uses the key, and a change that was lost is noticed within
	// twice that time. notify must not block for long. Engines whose Capabilities lack Announce return
	// [ErrUnsupported].
	Observe(ctx context.Context, key string, notify func(Change)) error

	// Capabilities says what this engine can do.
	Capabilities() Capabilities
}

// Capabilities says which parts of the port an engine implements. A request for a missing part is
// answered by [ErrUnsupported], with nothing changed.
type Capabilities struct {
	Limits     bool          // limits other than 1
	Priority   bool          // priorities other than 0
	Delay      bool          // lock-delay
	MultiKey   bool          // AcquireAll
	Transfer   bool          // Release.To
	Window     bool          // a pushed grant lives for its window first; without it, for the TTL
	Confirm    bool          // a grant is pushed as EventCheck: it counts only once its owner has asked
	Announce   bool          // Observe
	Durable    bool          // claims outlive the process that keeps them
	Prompt     bool          // calls return by the deadline of their ctx, whatever the network does
	MinTTL     time.Duration // smallest TTL the engine can keep
	TTLStep    time.Duration // TTLs are rounded up to a multiple of it
	TryTrips   int           // round trips of an Acquire without Queue and with Weight > 1
	ExpiryLate time.Duration // how much later than its TTL the engine may notice an end
}

// Status is what the engine says of a claim.
type Status uint8

// The statuses.
const (
	Unknown  Status = iota // the engine has no such claim, or it has ended
	Granted                // seated and valid
	Queued                 // waiting
	Held                   // does not fit, and was not to wait
	Full                   // the queue has no more room
	Conflict               // the key is in use with another limit
	Gone                   // this attempt was released
)

// String returns the name of the status in lower case.
func (s Status) String() string {
	names := [...]string{"unknown", "granted", "queued", "held", "full", "conflict", "gone"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Answer is what Acquire and Renew say of one claim. Only the fields of its status are set.
type Answer struct {
	Status Status
	Err    error // Renew: this item was not answered; the other fields mean nothing

	Token uint64        // Granted: the engine's number of this grant, 1 to fence.MaxSequence
	Left  time.Duration // Granted: validity left, measured by the engine when it answered
	Asked *Ask          // Granted: the holder was asked to leave

	Rank   int           // Queued: waiting claims ahead
	Next   time.Duration // Queued: time to the earliest end of a seat, as known now
	Pushed bool          // Queued: events for this claim are known to get through

	Holder Party // Held: one of those in the way
	Limit  int64 // Conflict: the limit in force
}

// Ask is the wish that a holder leaves.
type Ask struct {
	Reason string
	Grace  time.Duration // how long it may take over it, from now
}

// Renewal is one item of a Renew.
type Renewal struct {
	Key     string
	Attempt Attempt
	TTL     time.Duration
	Waiting bool // the owner believes that it waits

	MetaSeq uint64 // replaces the metadata if larger than the last one applied; 0 = leave it
	Meta    []byte
	Weight  int64 // lowers the weight of a seat; 0 = leave it
}

// Release is the end of a claim.
type Release struct {
	Key       string
	Attempt   Attempt
	Unclean   bool    // the work may not have ended: a lock-delay takes effect
	Uncertain bool    // some Acquire of this attempt got no answer and may still arrive
	To        Attempt // grant to this waiting attempt first, if it is alive
}

// Released says what a Release found.
type Released uint8

// What a Release can find.
const (
	WasNothing Released = iota // no such claim
	WasWaiting                 // it waited
	WasLapsed                  // its seat had lost its validity
	WasHeld                    // it was seated and valid
)

// Revocation names a seat by its token and says how to end it.
type Revocation struct {
	Key    string
	Token  uint64
	Reason string        // for the holder to read; at most MaxReason bytes
	Force  bool          // end it now, unclean; else ask
	Grace  time.Duration // how long the holder may take when asked
}

// Party is a claim as others see it.
type Party struct {
	Attempt  Attempt
	Owner    string
	Meta     []byte
	Token    uint64 // 0 while waiting
	Weight   int64
	Priority int
	Left     time.Duration // seated: validity left; waiting: life left unless heard of
	Asked    bool          // asked to leave
}

// State is a key as others see it.
type State struct {
	Limit   int64   // 0 also when nobody claims the key
	Holders []Party // valid seats, at most 100
	Waiters []Party // live waiting claims in queue order, at most 100
	Waiting int     // size of the queue, dead claims included
}

// EventKind tells events apart.
type EventKind uint8

// The kinds of event.
const (
	EventGranted EventKind = iota + 1 // the waiting claim was seated
	EventAsked                        // the holder is asked to leave
	EventRevoked                      // the seat was ended from outside
	EventCheck                        // something may have been missed: renew this claim now
)

// Event tells the owner of an attempt what happened to it.
type Event struct {
	Kind  EventKind
	Token uint64    // Granted, Asked, Revoked: the grant it speaks of
	Until time.Time // Granted: local instant up to which the seat is valid for certain
	Ask   Ask       // Asked, Revoked
}

// Change tells an observer what happened to an announced key.
type Change struct {
	Kind  ChangeKind
	Party Party // Seated, Meta: the claim, without Left and Asked; Ended: its token alone
}

// ChangeKind tells changes apart.
type ChangeKind uint8

// The kinds of change.
const (
	ChangeGap    ChangeKind = iota + 1 // what happened before may have been missed
	ChangeSeated                       // a claim was granted
	ChangeEnded                        // a seat ended
	ChangeMeta                         // the metadata of a seat was replaced
)
