package membership

import (
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// The conditions an operation can end in, for [errors.Is]. Every error of this package names the
// operation and the group.
var (
	ErrNoMember    = errors.New("the group has no member")              // Picker
	ErrTooMany     = errors.New("the group has more members than fit")  // Members, Watch: see [MaxMembers]
	ErrVanished    = errors.New("most members vanished at once")        // View.Stale
	ErrDuplicate   = errors.New("another member has this ID")           // a [*DuplicateError]
	ErrConflict    = errors.New("the key of the group is in other use") // by somebody who does not use this package
	ErrLost        = lease.ErrLost                                      // a [*LostError]
	ErrNotHeld     = lease.ErrNotHeld                                   // it was not in the group
	ErrUncertain   = lease.ErrUncertain                                 // nobody knows; clean-up is under way
	ErrUnavailable = lease.ErrUnavailable                               // the engine did not answer; trying again may help
	ErrUnsupported = lease.ErrUnsupported                               // the engine cannot do it
	ErrClosed      = lease.ErrClosed                                    // the Group was closed
	ErrInvalid     = lease.ErrInvalid                                   // an [*InvalidError]; nothing was sent
)

// InvalidError names the argument or option that was refused and its limit.
type InvalidError = lease.InvalidError

// LostError says why a member was lost to its group.
type LostError = lease.LostError

// Cause says why a member was lost.
type Cause = lease.Cause

// The causes a stay in a group can end with.
const (
	Expired          = lease.Expired          // its time ran out with nobody renewing
	Unreachable      = lease.Unreachable      // its time ran out while every renewal failed
	Revoked          = lease.Revoked          // ended from outside
	Resigned         = lease.Resigned         // it left
	ClockJump        = lease.ClockJump        // the machine slept, or its clock was stepped forward
	BackendLost      = lease.BackendLost      // the engine no longer knows it
	BackendRegressed = lease.BackendRegressed // the engine went back in time
	Closed           = lease.Closed           // the Group was closed
)

// DuplicateError says who else has the ID. It matches [ErrDuplicate].
type DuplicateError struct {
	ID   string
	Addr string        // of the other one
	Left time.Duration // until it is lost to the group, unless it renews
}

// Error names the other one.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("a member %q at %q is in the group already", e.ID, e.Addr)
}

// Is matches [ErrDuplicate].
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// wrap adds the operation and the group.
func (g *Group) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var refused *claim.RefusedError
	if errors.As(err, &refused) && refused.Answer.Status == lease.Conflict {
		err = ErrConflict
	}
	return fmt.Errorf("membership: %s %q: %w", op, g.name, err)
}
