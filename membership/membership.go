package membership

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Group is a group of members: this process may join it, and read and watch it. Its methods may be
// called by several goroutines. The zero Group is not usable; make one with [New]. It must be closed.
type Group struct {
	name   string
	opt    Options
	keeper *claim.Keeper

	registry registry
	entries  chan struct{} // held by those who ask for a seat
}

// New returns the group of that name on b, which stays the caller's. name has 1 to 480 bytes of any
// value. Nothing is sent before Join, Members or Watch.
//
// Arguments and options that are out of bounds are reported all at once, each as an
// [*InvalidError]; an engine that keeps no more than one party per key is refused with
// [ErrUnsupported].
func New(b lease.Backend, name string, o *Options) (*Group, error) {
	var l limits
	l.check(len(name) >= 1 && len(name) <= maxGroup, "name", "must have 1 to %d bytes", maxGroup)
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		l.check(false, "backend", "must not be nil")
		return nil, fmt.Errorf("membership: new: %w", errors.Join(l...))
	}
	capable := b.Capabilities()
	if !capable.Limits {
		l = append(l, fmt.Errorf("a key without limit: %w", ErrUnsupported))
	}
	opt, err := o.withDefaults(capable)
	if err := errors.Join(append(l, err)...); err != nil {
		return nil, fmt.Errorf("membership: new: %w", err)
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = opt.Hooks.filled()
	return &Group{
		name: name, opt: opt, keeper: claim.New(b, opt.claimOptions()), entries: make(chan struct{}, maxEntries),
	}, nil
}

func (g *Group) backend() lease.Backend { return g.keeper.Backend() }

// Close takes the members of this process out of the group with the cause [Closed], ends every Watch
// with [ErrClosed], and returns when everything that was started has ended. If ctx ends before that,
// the error matches ctx's and says what was left. Further calls of Close wait again.
func (g *Group) Close(ctx context.Context) error {
	if err := g.keeper.Close(ctx); err != nil {
		return fmt.Errorf("membership: close: %w", err)
	}
	return nil
}
