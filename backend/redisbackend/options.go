package redisbackend

import (
	"errors"
	"log/slog"
	"strings"
	"time"
)

const (
	defaultPrefix     = "concord"
	maxPrefix         = 64
	minFenceRetention = time.Second
	maxReplicas       = 100
)

// Options tunes a [Backend]. The zero value, or nil in its place, means the defaults. [New] copies
// it.
type Options struct {
	// Prefix starts every key and channel name, so that several installations can share a server.
	// 1 to 64 bytes of printable ASCII without space, colon and braces. Default "concord".
	// Parties with different prefixes do not see each other's locks.
	Prefix string

	// Strict makes [Backend.Check] fail on warnings, too.
	Strict bool

	// WaitReplicas is the number of replicas that must have confirmed a grant or a renewal before it
	// counts; 0 to 100, default 0. With fewer the call fails and its outcome is uncertain. It makes
	// the loss of a grant at a fail-over unlikely and not impossible: the server promotes a replica
	// without asking whether it was one of them. It costs a round trip to the replicas for every
	// acquire and renewal, and a third request for every hand-off.
	WaitReplicas int

	// Logger gets the warnings of Check and what goes wrong in the background: a subscription that
	// was dropped, a tombstone that could not be written. Default slog.Default.
	Logger *slog.Logger

	// FenceRetention lets a fence mark expire this long after it was last raised; at least 1 s.
	// A holder that was paused for longer is then no longer refused, so it must be far above any
	// pause to be survived. Default 0: marks live for ever, about 150 bytes for each resource.
	FenceRetention time.Duration

	// CoalesceLimits lets calls about rate limits that come at the same time share requests. A call that
	// finds fewer than four under way to its node goes at once by itself; those that come later leave
	// together with the next, up to 128 ops in one. Dozens of goroutines and more then get 1.5 to 2
	// times the decisions out of a server, over four connections. The price: while four requests hang,
	// all further calls wait behind them, each until its ctx ends. Up to 4096 ops wait for a node; calls
	// beyond that fail at once, as unavailable. The client must have the method Pipeline. Default off:
	// each call has requests of its own.
	CoalesceLimits bool
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (o *Options) validate() error {
	var errs []error
	bad := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == '{' || c == '}' }
	if len(o.Prefix) > maxPrefix || strings.ContainsFunc(o.Prefix, bad) {
		errs = append(errs, &InvalidError{Field: "Prefix",
			Problem: "must have 1 to 64 bytes of printable ASCII without space, colon and braces"})
	}
	if o.FenceRetention != 0 && o.FenceRetention < minFenceRetention {
		errs = append(errs, &InvalidError{Field: "FenceRetention", Problem: "must be 0 or at least 1s"})
	}
	if o.WaitReplicas < 0 || o.WaitReplicas > maxReplicas {
		errs = append(errs, &InvalidError{Field: "WaitReplicas", Problem: "must be 0 to 100"})
	}
	return errors.Join(errs...)
}
