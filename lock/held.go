package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/internal/claim"
)

// held is what leases and shares have in common.
type held struct {
	hold  *claim.Hold
	front *front
	kind  Kind
}

// Key returns what is held.
func (h *held) Key() string { return h.hold.Key() }

// Context has the values of the context given to the acquire, not its cancellation. It ends when
// what is held is lost or released; [context.Cause] then returns a [*LostError]. It ends before
// the engine lets anybody else in, as long as the engine keeps its data and this process runs.
func (h *held) Context() context.Context { return h.hold.Context() }

// Deadline returns the instant at which it ends if no renewal succeeds before. It has a monotonic
// clock reading. Renewals move it.
func (h *held) Deadline() time.Time { return h.hold.Deadline() }

// Valid reports whether it will last for need from now, if nobody revokes it. It asks no one. A
// true answer is about the past as soon as it is given; only a token checked at the resource
// covers the time of the write itself.
func (h *held) Valid(need time.Duration) bool { return h.hold.Valid(need) }

// Release gives it back, and with it the turn to the next in line. It may be called more than
// once, and returns the first result each time. It works with a context that has ended, of which
// only the values are used, and returns after at most a third of the TTL or one second, whichever
// is shorter.
//
// The error matches [ErrNotHeld] if it had ended before, with the [LostError] if that was noticed,
// and [ErrUncertain] if the engine did not answer: then the release is repeated in the background
// until the TTL has ended it anyway.
func (h *held) Release(ctx context.Context) error {
	err := h.front.wrap("release", h.Key(), 0, h.hold.Release(ctx))
	h.front.opt.Hooks.ReleaseEnd(ctx, Info{Key: h.Key(), Kind: h.kind, Token: h.hold.Token(), Held: time.Since(h.hold.Since()), Err: err})
	return err
}

// do runs fn under what is held and releases it, also when fn panics.
func (h *held) do(ctx context.Context, fn func(context.Context) error) error {
	return underway(ctx, h.Context(), fn, func(ctx context.Context) (lost *LostError) {
		lost = h.hold.Lost()
		released := h.Release(ctx)
		if lost == nil && errors.Is(released, ErrNotHeld) && !errors.As(released, &lost) {
			lost = &LostError{Key: h.Key(), Token: h.hold.Token(), Cause: BackendLost} // the engine noticed, and nobody else
		}
		return lost
	})
}

// underway runs fn with a context that ends when ctx or life does, then finish, also when fn
// panics. A loss that finish reports becomes part of the error.
func underway(ctx, life context.Context, fn func(context.Context) error, finish func(context.Context) *LostError) (err error) {
	defer func() {
		if lost := finish(ctx); lost != nil && !errors.Is(err, ErrLost) {
			err = errors.Join(err, fmt.Errorf("lock: do %q: %w", lost.Key, lost))
		}
	}()
	fnCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
	return fn(fnCtx)
}
