package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

const (
	// DefaultTTL is the TTL of an Election that names none.
	DefaultTTL = 15 * time.Second

	// DefaultDrain is how long a leader that leaves may take, unless Options.Drain says otherwise.
	DefaultDrain = 10 * time.Second

	defaultWindow = 3 * time.Second
	maxDrain      = time.Hour
)

// Options configure an [Election]. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// TTL is how long a term lasts without a renewal, so also how long nobody leads when a leader
	// dies: 100 ms to 24 h, default [DefaultTTL]. Some engines round it up or have a higher minimum.
	TTL time.Duration

	// Margin is how long before the engine a leader stops believing in its term: 1 ms to half the
	// TTL. The default is a fiftieth of the TTL, at least 5 ms and at most 250 ms.
	Margin time.Duration

	// Drain is how long the claim is kept, after the context of a term has ended in good order, for
	// the work to end: 0 means [DefaultDrain], at most 1 h. It is also how long a leader of lower
	// priority is given.
	Drain time.Duration

	// MinTerm is how long a candidate of higher priority leaves a leader alone from when it has first
	// seen its term: default 0, at most 1 h. It keeps candidates that come and go from changing the
	// leader each time.
	MinTerm time.Duration

	// Healthy reports whether the candidate is fit to lead. It is called with a context that ends
	// after a third of the TTL, every third of the TTL while standing and leading. An error is no.
	// nil means always.
	Healthy func(ctx context.Context) error

	// Epoch is the upper part of every term, 0 to 1023. Raise it in every process when elections move
	// to another engine, or when the engine was restored from a snapshot.
	Epoch int

	// Hooks observe the election. nil logs what goes wrong in the background to slog.Default (see
	// [LogHooks]); an empty Hooks is silent.
	Hooks *Hooks

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *Options) withDefaults(c lease.Capabilities) (Options, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.TTL == 0 {
		opt.TTL = max(DefaultTTL, c.MinTTL)
	}
	if opt.Drain == 0 {
		opt.Drain = DefaultDrain
	}
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	minTTL := max(lease.MinTTL, c.MinTTL)
	check(opt.TTL >= minTTL && opt.TTL <= lease.MaxTTL, "TTL", "must be %v to %v", minTTL, lease.MaxTTL)
	check(opt.Margin == 0 || opt.Margin >= time.Millisecond && opt.Margin <= opt.TTL/2, "Margin", "must be 1ms to half the TTL")
	check(opt.Drain > 0 && opt.Drain <= maxDrain, "Drain", "must be 0 to %v", maxDrain)
	check(opt.MinTerm >= 0 && opt.MinTerm <= maxDrain, "MinTerm", "must be 0 to %v", maxDrain)
	check(opt.Epoch >= 0 && opt.Epoch <= fence.MaxEpoch, "Epoch", "must be 0 to %d", fence.MaxEpoch)
	return opt, errors.Join(errs...)
}

// claimOptions translates the options for the keeper.
func (o *Options) claimOptions(c *Candidate, capable lease.Capabilities) claim.Options {
	return claim.Options{
		TTL: o.TTL, Margin: o.Margin, Window: min(o.TTL, max(defaultWindow, capable.MinTTL)),
		Owner: c.ID, Meta: encode(c.Addr, c.Meta), Epoch: o.Epoch,
		Asked: asked, Events: o.Hooks.events(),
	}
}
