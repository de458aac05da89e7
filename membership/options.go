package membership

import (
	"errors"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

const (
	// DefaultTTL is the TTL of a Group that names none.
	DefaultTTL = 15 * time.Second

	// DefaultPause is the least time between two views of a Watch, unless Options.Pause says otherwise.
	DefaultPause = 50 * time.Millisecond

	maxPause = time.Minute
)

// Options configure a [Group]. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// TTL is how long a member that does not renew stays in the group, so also how long others see
	// one that has died: 100 ms to 24 h, default [DefaultTTL]. Renewals are sent every third of it.
	// Some engines round it up or have a higher minimum.
	TTL time.Duration

	// Pause is the least time between two views of a Watch; what changes meanwhile comes in one view.
	// A change after a longer quiet is told at once. 0 means [DefaultPause], at most 1 min.
	Pause time.Duration

	// Hooks observe the group. nil logs what goes wrong in the background to slog.Default (see
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
	if opt.Pause == 0 {
		opt.Pause = DefaultPause
	}
	var l limits
	minTTL := max(lease.MinTTL, c.MinTTL)
	l.check(opt.TTL >= minTTL && opt.TTL <= lease.MaxTTL, "TTL", "must be %v to %v", minTTL, lease.MaxTTL)
	l.check(opt.Pause > 0 && opt.Pause <= maxPause, "Pause", "must be 0 to %v", maxPause)
	return opt, errors.Join(l...)
}

// claimOptions translates the options for the keeper.
func (o *Options) claimOptions() claim.Options {
	return claim.Options{TTL: o.TTL, Window: o.TTL, Events: o.Hooks.events()}
}
