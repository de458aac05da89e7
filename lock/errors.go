package lock

import (
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// The conditions an operation can end in, for [errors.Is]. Every error of this package names the
// operation and the key and wraps one of these, the end of the caller's context, or the engine's
// own error.
var (
	ErrHeld        = errors.New("held by somebody else")            // an acquire that may not wait: a [*HeldError]
	ErrQueueFull   = errors.New("too many waiters")                 // the key has lease.MaxQueue waiters
	ErrConflict    = errors.New("key is in use with another limit") // a [*ConflictError]
	ErrLost        = lease.ErrLost                                  // a [*LostError]
	ErrNotHeld     = lease.ErrNotHeld                               // there was nothing to release or revoke
	ErrUncertain   = lease.ErrUncertain                             // nobody knows; clean-up is under way
	ErrUnavailable = lease.ErrUnavailable                           // the engine did not answer; trying again may help
	ErrClosed      = lease.ErrClosed                                // the Locker was closed
	ErrInvalid     = lease.ErrInvalid                               // an [*InvalidError]; nothing was sent
)

// InvalidError names the argument or option that was refused and its limit.
type InvalidError = lease.InvalidError

// LostError is the [context.Cause] of [Lease.Context] once the lease has ended.
type LostError = lease.LostError

// Cause says why a lease ended.
type Cause = lease.Cause

// The causes a lease or share of this package can end with.
const (
	Expired          = lease.Expired          // its time ran out with nobody renewing
	Unreachable      = lease.Unreachable      // its time ran out while every renewal failed
	Revoked          = lease.Revoked          // see [Locker.Revoke]
	Resigned         = lease.Resigned         // the holder released it
	ClockJump        = lease.ClockJump        // the machine slept, or its clock was stepped forward
	BackendLost      = lease.BackendLost      // the engine no longer knows it
	BackendRegressed = lease.BackendRegressed // the engine went back in time
	Closed           = lease.Closed           // the Locker was closed
)

// HeldError says who holds the key that an acquire without waiting wanted, or who waits for it. It
// matches [ErrHeld].
type HeldError struct {
	Owner     string        // Options.Owner of the holder
	Meta      []byte        // Options.Meta of the holder
	Token     fence.Token   // the holder's token, 0 for one that waits
	Remaining time.Duration // until the lease ends, unless it is renewed or released
}

// Error names the holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("held by %q, which may renew it, for another %v", e.Owner, e.Remaining.Round(time.Millisecond))
}

// Is matches [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// RetryAfter is a sensible time to try again: Remaining.
func (e *HeldError) RetryAfter() time.Duration { return e.Remaining }

// ConflictError says that the key is in use by something of another kind, or of another limit. It
// matches [ErrConflict].
type ConflictError struct {
	Limit  int64 // the limit in force: 1 for a Locker, 2^31-1 for an RWLocker
	Wanted int64 // the limit that was asked for
}

// Error names both limits.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("key is in use with limit %d, not %d", e.Limit, e.Wanted)
}

// Is matches [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// wrap adds the operation and the key, and turns refusals of the engine into this package's types.
// limit is what was asked for.
func (f *front) wrap(op, key string, limit int64, err error) error {
	if err == nil {
		return nil
	}
	var refused *claim.RefusedError
	if errors.As(err, &refused) {
		err = f.refusal(refused.Answer, limit)
	}
	return fmt.Errorf("lock: %s %q: %w", op, key, err)
}

func (f *front) refusal(a lease.Answer, limit int64) error {
	switch a.Status {
	case lease.Held:
		p := f.party(a.Holder)
		return &HeldError{Owner: p.Owner, Meta: p.Meta, Token: p.Token, Remaining: p.Left}
	case lease.Full:
		return fmt.Errorf("%w: %d", ErrQueueFull, lease.MaxQueue)
	case lease.Conflict:
		return &ConflictError{Limit: a.Limit, Wanted: limit}
	default:
		return fmt.Errorf("unexpected answer of the engine: %s", a.Status)
	}
}
