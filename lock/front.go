package lock

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// front is what the kinds of lock have in common.
type front struct {
	keeper *claim.Keeper
	opt    Options
}

func newFront(b lease.Backend, o *Options, needs func(lease.Capabilities) error) (front, error) {
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		return front{}, fmt.Errorf("lock: new: %w", &InvalidError{Field: "backend", Problem: "must not be nil"})
	}
	opt, err := o.withDefaults(b.Capabilities())
	if err := errors.Join(err, needs(b.Capabilities())); err != nil {
		return front{}, fmt.Errorf("lock: new: %w", err)
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = opt.Hooks.filled()
	return front{keeper: claim.New(b, opt.claimOptions()), opt: opt}, nil
}

// sharing is what a backend must be able to do for locks that several can hold.
func sharing(c lease.Capabilities) error {
	if !c.Limits {
		return fmt.Errorf("limits other than 1: %w", lease.ErrUnsupported)
	}
	return nil
}

// acquire is every Acquire for one key. w says what to ask for and kind what it is called.
func (f *front) acquire(ctx context.Context, kind Kind, w claim.Wish) (held, error) {
	op := verb(w.Queue)
	if err := lease.ValidateKey(w.Key); err != nil {
		return held{}, fmt.Errorf("lock: %s: %w", op, err)
	}
	start := time.Now()
	info := Info{Key: w.Key, Kind: kind, Try: !w.Queue}
	ctx = f.opt.Hooks.AcquireStart(ctx, info)
	w.Kind = string(kind)
	hold, err := f.keeper.Acquire(ctx, w)
	err = f.wrap(op, w.Key, w.Limit, err)
	info.Wait, info.Err = time.Since(start), err
	if err == nil {
		info.Token = hold.Token()
	}
	f.opt.Hooks.AcquireEnd(ctx, info)
	if err != nil {
		return held{}, err
	}
	return held{hold: hold, front: f, kind: kind}, nil
}

func verb(queue bool) string {
	if queue {
		return "acquire"
	}
	return "try"
}

// Close ends every lease with the cause [Closed] and releases it, makes waiting callers return
// [ErrClosed], and returns when everything that was started has ended. If ctx ends before that,
// the error matches ctx's and says what was left. Further acquires return [ErrClosed]; further
// calls of Close wait again.
func (f *front) Close(ctx context.Context) error {
	if err := f.keeper.Close(ctx); err != nil {
		return fmt.Errorf("lock: close: %w", err)
	}
	return nil
}
