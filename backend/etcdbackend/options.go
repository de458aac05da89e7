package etcdbackend

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
)

const (
	defaultPrefix = "concord"
	maxPrefix     = 64
)

// Options tunes a [Backend]. The zero value, or nil in its place, means the defaults. [New] copies
// it.
type Options struct {
	// Prefix starts every key, so that several installations can share a cluster. 1 to 64 bytes of
	// printable ASCII without space. It may have several elements, as in "/team/shop", but must not
	// end with a slash and no element may be "1". Default "concord". Parties with different
	// prefixes do not see each other's locks.
	Prefix string

	// Strict makes [Backend.Check] fail on warnings, too.
	Strict bool

	// Logger gets the warnings of Check and what goes wrong in the background: a watch that was
	// lost, a lease that ended, a release that could not be sent. Default slog.Default.
	Logger *slog.Logger
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
	bad := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(o.Prefix) > maxPrefix || strings.ContainsFunc(o.Prefix, bad) {
		errs = append(errs, &InvalidError{Field: "Prefix", Problem: "must have 1 to 64 bytes of printable ASCII without space"})
	}
	if strings.HasSuffix(o.Prefix, "/") || slices.Contains(strings.Split(o.Prefix, "/"), formatVersion) {
		errs = append(errs, &InvalidError{Field: "Prefix", Problem: `must not end with "/" nor have an element "` + formatVersion + `"`})
	}
	return errors.Join(errs...)
}
