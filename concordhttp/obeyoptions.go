package concordhttp

import (
	"errors"
	"net/http"
	"time"

	"github.com/concord-go/concord/fence"
)

const (
	defaultHold = time.Minute
	maxHold     = 24 * time.Hour
	maxHolds    = 1024 // origins and partitions that are held back at a time
)

// ObeyOptions configure [Obey]. The zero value of every field means its default; nil means all
// defaults. Obey copies them.
type ObeyOptions struct {
	// MaxHold is how long a server may hold requests back at most, whatever it says: 1 s to 24 h,
	// default 1 min. After that one is sent and finds out.
	MaxHold time.Duration

	// NoWait makes requests that are held back fail at once, with a [*HeldBackError], instead of waiting:
	// for callers who have a queue, or a retry that takes the error's RetryAfter.
	NoWait bool

	// Partition tells apart requests that the server counts apart, such as those of several API keys:
	// what holds back one partition leaves the others alone. The default is one partition for each
	// origin. It must be quick.
	Partition func(*http.Request) string

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *ObeyOptions) withDefaults() (ObeyOptions, error) {
	var opt ObeyOptions
	if o != nil {
		opt = *o
	}
	if opt.MaxHold == 0 {
		opt.MaxHold = defaultHold
	}
	if opt.Partition == nil {
		opt.Partition = func(*http.Request) string { return "" }
	}
	var errs []error
	if opt.MaxHold < time.Second || opt.MaxHold > maxHold {
		errs = append(errs, &fence.InvalidError{Field: "MaxHold", Problem: "must be 1s to 24h"})
	}
	return opt, errors.Join(errs...)
}
