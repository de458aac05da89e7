package election

import (
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// The conditions an operation can end in, for [errors.Is]. Every error of this package names the
// operation and the election.
var (
	ErrNoLeader    = errors.New("nobody leads")                            // Leader
	ErrNoCandidate = errors.New("no such candidate waits")                 // TransferTo
	ErrDuplicate   = errors.New("another candidate has this ID")           // a [*DuplicateError]
	ErrConflict    = errors.New("the key of the election is in other use") // by somebody who does not use this package
	ErrLost        = lease.ErrLost                                         // a [*LostError]
	ErrNotHeld     = lease.ErrNotHeld                                      // the term had ended
	ErrUncertain   = lease.ErrUncertain                                    // nobody knows; clean-up is under way
	ErrUnavailable = lease.ErrUnavailable                                  // the engine did not answer; trying again may help
	ErrUnsupported = lease.ErrUnsupported                                  // the engine cannot do it
	ErrClosed      = lease.ErrClosed                                       // the Election was closed
	ErrInvalid     = lease.ErrInvalid                                      // an [*InvalidError]; nothing was sent
)

// InvalidError names the argument or option that was refused and its limit.
type InvalidError = lease.InvalidError

// LostError is the [context.Cause] of the context of a term that has ended.
type LostError = lease.LostError

// Cause says why a term ended.
type Cause = lease.Cause

// The causes a term can end with.
const (
	Expired          = lease.Expired          // its time ran out with nobody renewing
	Unreachable      = lease.Unreachable      // its time ran out while every renewal failed
	Revoked          = lease.Revoked          // ended from outside
	Preempted        = lease.Preempted        // a candidate of higher priority asked for it
	Resigned         = lease.Resigned         // the leader gave it up, or became sick
	ClockJump        = lease.ClockJump        // the machine slept, or its clock was stepped forward
	BackendLost      = lease.BackendLost      // the engine no longer knows it
	BackendRegressed = lease.BackendRegressed // the engine went back in time
	Closed           = lease.Closed           // the Election was closed
)

// DuplicateError says who else has the candidate's ID. It matches [ErrDuplicate].
type DuplicateError struct {
	ID      string
	Addr    string        // of the other one
	Leading bool          // the other one leads; else it waits
	Left    time.Duration // until its claim ends, unless it is renewed
}

// Error names the other one.
func (e *DuplicateError) Error() string {
	does := "waits"
	if e.Leading {
		does = "leads"
	}
	return fmt.Sprintf("a candidate %q at %q %s already", e.ID, e.Addr, does)
}

// Is matches [ErrDuplicate].
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// wrap adds the operation and the election.
func (e *Election) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var refused *claim.RefusedError
	if errors.As(err, &refused) {
		switch refused.Answer.Status {
		case lease.Conflict:
			err = ErrConflict
		case lease.Full:
			err = fmt.Errorf("too many candidates: %w", err)
		}
	}
	return fmt.Errorf("election: %s %q: %w", op, e.name, err)
}
