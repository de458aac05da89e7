package lease

import (
	"errors"
	"fmt"

	"github.com/concord-go/concord/fence"
)

// ErrLost is matched by every [*LostError].
var ErrLost = errors.New("lease lost")

// Cause says why a lease ended other than by its holder's release.
type Cause uint8

// The causes of loss.
const (
	Expired          Cause = iota + 1 // its time ran out with nobody renewing: NoRenew, or the process was paused
	Unreachable                       // its time ran out while every renewal failed
	Revoked                           // ended, or asked to end, from outside
	Preempted                         // a party of higher priority took over
	Resigned                          // the holder gave it up
	ClockJump                         // the process was suspended, or the wall clock stepped forward
	BackendLost                       // the engine no longer knows it: data lost, evicted, flushed
	BackendRegressed                  // the engine went back in time: a token below one already seen
	Closed                            // the locker was closed
)

// String returns the name of the cause in lower case.
func (c Cause) String() string {
	names := [...]string{"", "expired", "unreachable", "revoked", "preempted", "resigned", "clock jump",
		"backend lost", "backend regressed", "closed"}
	if int(c) < len(names) && c > 0 {
		return names[c]
	}
	return "unknown"
}

// LostError is the cause ([context.Cause]) of the context of a lease that was lost. It matches
// [ErrLost], and also what Err holds.
type LostError struct {
	Key    string
	Token  fence.Token
	Cause  Cause
	Reason string // what the other party, or the one who ended it, gave as its reason
	Err    error  // Unreachable: the last failure of a renewal
}

// Error names the key, the token and the cause.
func (e *LostError) Error() string {
	s := fmt.Sprintf("%q: lease %s lost: %s", e.Key, e.Token, e.Cause)
	if e.Reason != "" {
		s += fmt.Sprintf(" (%q)", e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is matches [ErrLost].
func (e *LostError) Is(target error) bool { return target == ErrLost }

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }
