package lock

import (
	"context"
	"errors"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
)

// Lease is a held lock. Leases come from a [Locker]; the zero Lease is not usable. Its methods may
// be called by several goroutines.
type Lease struct {
	hold   *claim.Hold
	locker *Locker
}

// Key returns what is locked.
func (l *Lease) Key() string { return l.hold.Key() }

// Context has the values of the context given to Acquire, not its cancellation. It ends when the
// lease is lost or released; [context.Cause] then returns a [*LostError]. It ends before the
// engine lets anybody else in, as long as the engine keeps its data and this process runs.
func (l *Lease) Context() context.Context { return l.hold.Context() }

// Token returns the fencing token of this grant: larger than that of every earlier grant of the
// key, the same for the life of the lease, also after it was lost.
func (l *Lease) Token() fence.Token { return l.hold.Token() }

// Deadline returns the instant at which the lease ends if no renewal succeeds before. It has a
// monotonic clock reading. Renewals move it.
func (l *Lease) Deadline() time.Time { return l.hold.Deadline() }

// Valid reports whether the lease will last for need from now, if nobody revokes it. It asks no
// one. A true answer is about the past as soon as it is given; only a token checked at the
// resource covers the time of the write itself.
func (l *Lease) Valid(need time.Duration) bool { return l.hold.Valid(need) }

// Release gives the lock to the next in line. It may be called more than once, and returns the
// first result each time. It works with a context that has ended, of which only the values are
// used, and returns after at most a third of the TTL or one second, whichever is shorter.
//
// The error matches [ErrNotHeld] if the lease had ended before, with the [LostError] if that was
// noticed, and [ErrUncertain] if the engine did not answer: then the release is repeated in the
// background until the lease has expired anyway.
func (l *Lease) Release(ctx context.Context) error {
	err := l.locker.wrap("release", l.Key(), l.hold.Release(ctx))
	l.locker.opt.Hooks.ReleaseEnd(ctx, Info{Key: l.Key(), Token: l.Token(), Held: time.Since(l.hold.Since()), Err: err})
	return err
}

// loss returns why the lease had ended when the engine answered released to its release.
func (l *Lease) loss(released error) *LostError {
	var lost *LostError
	if errors.As(released, &lost) {
		return lost
	}
	return &LostError{Key: l.Key(), Token: l.Token(), Cause: BackendLost}
}
