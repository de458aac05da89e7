package lock

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

const (
	// DefaultTTL is the TTL of a Locker that names none.
	DefaultTTL = 15 * time.Second

	// defaultWindow is long enough for a slow push and short enough not to wait long for a waiter
	// that is gone.
	defaultWindow = 3 * time.Second
)

// Options configure a [Locker], [RWLocker] or [Semaphore]; where they say lease they also mean
// share. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// TTL is how long a lease lasts without a renewal, so also how long the key stays blocked when
	// its holder dies: 100 ms to 24 h, default [DefaultTTL]. Renewals are sent every third of it.
	// Some engines round it up or have a higher minimum.
	TTL time.Duration

	// Margin is how long before the engine a holder stops believing in its lease: 1 ms to half the
	// TTL. The default is a fiftieth of the TTL, at least 5 ms and at most 250 ms.
	Margin time.Duration

	// ClaimWindow is the first life of a lease that was handed to a waiter by push, until its first
	// renewal: 100 ms to the TTL, default 3 s or the TTL if that is shorter. It bounds how long a
	// waiter that died keeps the next one waiting.
	ClaimWindow time.Duration

	// LockDelay keeps the key blocked for this long after a holder has ended without saying that its
	// work is over: its TTL or MaxHold ran out, it was revoked by force, its Locker was closed. It
	// gives work that is still under way time to end, where no token can stop it. A release ends it
	// at once. 0 to 60 s, default 0. Not all engines can do it.
	LockDelay time.Duration

	// MaxHold ends every lease after this time, however often it was renewed, with the cause
	// [Expired], and gives the key to the next: at least 100 ms, default 0, no bound. So work that
	// hangs does not keep the key for as long as its process lives.
	MaxHold time.Duration

	// NoRenew leaves leases to end after one TTL, however long the work takes.
	NoRenew bool

	// Owner says who holds a lease, for people who inspect the lock: at most 128 bytes, default
	// host name and process id.
	Owner string

	// Meta is shown beside Owner: at most 4 KiB.
	Meta []byte

	// Epoch is the upper part of every token, 0 to 1023. Raise it in every process when locks move
	// to another engine, or when the engine was restored from a snapshot.
	Epoch int

	// Hooks observe the locker. nil logs what goes wrong in the background to [slog.Default] (see
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
	if opt.ClaimWindow == 0 {
		opt.ClaimWindow = min(opt.TTL, max(defaultWindow, c.MinTTL))
	}
	if opt.Owner == "" {
		opt.Owner = defaultOwner()
	}
	opt.Meta = append([]byte(nil), opt.Meta...)

	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	minTTL := max(lease.MinTTL, c.MinTTL)
	check(opt.TTL >= minTTL && opt.TTL <= lease.MaxTTL, "TTL", "must be %v to %v", minTTL, lease.MaxTTL)
	check(opt.Margin == 0 || opt.Margin >= time.Millisecond && opt.Margin <= opt.TTL/2, "Margin", "must be 1ms to half the TTL")
	check(opt.ClaimWindow >= lease.MinTTL && opt.ClaimWindow <= opt.TTL, "ClaimWindow", "must be %v to the TTL", lease.MinTTL)
	check(opt.LockDelay >= 0 && opt.LockDelay <= lease.MaxDelay, "LockDelay", "must be 0 to %v", lease.MaxDelay)
	check(opt.LockDelay == 0 || c.Delay, "LockDelay", "must be 0 on this engine, which has no lock-delay")
	check(opt.MaxHold == 0 || opt.MaxHold >= lease.MinTTL, "MaxHold", "must be 0 or at least %v", lease.MinTTL)
	check(len(opt.Owner) <= lease.MaxOwner, "Owner", "must have at most %d bytes", lease.MaxOwner)
	check(len(opt.Meta) <= lease.MaxMeta, "Meta", "must have at most %d bytes", lease.MaxMeta)
	check(opt.Epoch >= 0 && opt.Epoch <= fence.MaxEpoch, "Epoch", "must be 0 to %d", fence.MaxEpoch)
	return opt, errors.Join(errs...)
}

func defaultOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	owner := fmt.Sprintf("%s:%d", host, os.Getpid())
	return owner[:min(len(owner), lease.MaxOwner)]
}

// claimOptions translates the options for the keeper.
func (o *Options) claimOptions() claim.Options {
	return claim.Options{
		TTL: o.TTL, Margin: o.Margin, Window: o.ClaimWindow, NoRenew: o.NoRenew,
		Delay: o.LockDelay, MaxHold: o.MaxHold,
		Owner: o.Owner, Meta: o.Meta, Epoch: o.Epoch,
		Events: o.Hooks.events(),
	}
}
