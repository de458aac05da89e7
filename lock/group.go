package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Group is a set of leases that were acquired together. Groups come from [Locker.AcquireAll]; the
// zero Group is not usable. Its methods may be called by several goroutines.
type Group struct {
	leases []*Lease
	ctx    context.Context
	cancel context.CancelCauseFunc
	stops  []func() bool
}

// AcquireAll waits until the caller holds all of the keys, 1 to 64 different ones, or until ctx
// ends; then it holds none. The keys are taken in one order that is the same for all parties, so
// two calls with the same keys never wait for each other. Keys that come early in that order are
// held while it waits for the others. Each key has a token of its own.
//
// It needs as many requests as the engine needs: one on a single Redis server, one for each bucket
// in a Redis Cluster. Keys with the same text in braces, such as "{order/42}/pay" and
// "{order/42}/ship", are in one bucket, so they are taken in one step there too. The errors are those of [Locker.Acquire], and lease.ErrUnsupported where the
// engine cannot do it.
func (l *Locker) AcquireAll(ctx context.Context, keys ...string) (*Group, error) {
	return l.acquireAll(ctx, keys, true)
}

// TryAcquireAll is AcquireAll without waiting: if any of the keys is not free, the error is a
// [*HeldError], and none is held.
func (l *Locker) TryAcquireAll(ctx context.Context, keys ...string) (*Group, error) {
	return l.acquireAll(ctx, keys, false)
}

// DoAll runs fn while the caller holds all of the keys, as [Locker.Do] does. The context of fn
// ends when any of the leases is lost.
func (l *Locker) DoAll(ctx context.Context, keys []string, fn func(context.Context, *Group) error) error {
	g, err := l.AcquireAll(ctx, keys...)
	if err != nil {
		return err
	}
	return underway(ctx, g.Context(), func(ctx context.Context) error { return fn(ctx, g) }, g.finish)
}

func (l *Locker) acquireAll(ctx context.Context, keys []string, queue bool) (*Group, error) {
	op := verb(queue) + " all"
	if err := validateKeys(keys); err != nil {
		return nil, fmt.Errorf("lock: %s: %w", op, err)
	}
	if !l.keeper.Backend().Capabilities().MultiKey {
		return nil, fmt.Errorf("lock: %s: several keys at once: %w", op, lease.ErrUnsupported)
	}
	wishes := make([]claim.Wish, len(keys))
	for i, key := range keys {
		wishes[i] = claim.Lock(key, queue)
		wishes[i].Kind = string(KindLock)
	}
	start := time.Now()
	info := Info{Key: keys[0], Keys: len(keys), Kind: KindLock, Try: !queue}
	ctx = l.opt.Hooks.AcquireStart(ctx, info)
	holds, failed, err := l.keeper.AcquireAll(ctx, wishes)
	if err != nil && failed >= 0 {
		info.Key = keys[failed]
	}
	err = l.wrap(op, info.Key, 1, err)
	info.Wait, info.Err = time.Since(start), err
	l.opt.Hooks.AcquireEnd(ctx, info)
	if err != nil {
		return nil, err
	}
	g := &Group{}
	g.ctx, g.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, h := range holds {
		g.leases = append(g.leases, &Lease{held{hold: h, front: &l.front, kind: KindLock}})
		life := h.Context()
		g.stops = append(g.stops, context.AfterFunc(life, func() { g.cancel(context.Cause(life)) }))
	}
	return g, nil
}

func validateKeys(keys []string) error {
	if len(keys) < 1 || len(keys) > lease.MaxKeys {
		return &InvalidError{Field: "keys", Problem: fmt.Sprintf("must be 1 to %d", lease.MaxKeys)}
	}
	var errs []error
	for i, key := range keys {
		errs = append(errs, lease.ValidateKey(key))
		if slices.Contains(keys[:i], key) {
			errs = append(errs, &InvalidError{Field: "keys", Problem: fmt.Sprintf("must be different, %q stands twice", key)})
		}
	}
	return errors.Join(errs...)
}

// Leases returns the leases in the order of the keys that were asked for.
func (g *Group) Leases() []*Lease { return slices.Clone(g.leases) }

// Context has the values of the context given to the acquire, not its cancellation. It ends with
// the first of the leases; [context.Cause] then returns its [*LostError].
func (g *Group) Context() context.Context { return g.ctx }

// Release releases all leases at the same time. The error joins those of the leases; see
// [Lease.Release].
func (g *Group) Release(ctx context.Context) error {
	failures := make([]error, len(g.leases))
	claim.Each(len(g.leases), func(i int) { failures[i] = g.leases[i].Release(ctx) })
	for _, stop := range g.stops {
		stop()
	}
	g.cancel(&LostError{Key: g.leases[0].Key(), Token: g.leases[0].Token(), Cause: Resigned})
	return errors.Join(failures...)
}

// finish releases all and returns the first loss.
func (g *Group) finish(ctx context.Context) (lost *LostError) {
	for _, l := range g.leases {
		if lost == nil {
			lost = l.hold.Lost()
		}
	}
	released := g.Release(ctx)
	if lost == nil && errors.Is(released, ErrNotHeld) && !errors.As(released, &lost) {
		lost = &LostError{Key: g.leases[0].Key(), Token: g.leases[0].Token(), Cause: BackendLost}
	}
	return lost
}
