package memorybackend

import (
	"fmt"

	"github.com/concord-go/concord/lease"
)

// DefaultLimits is how many keys have their rate limits kept, unless Options.Limits says otherwise.
const DefaultLimits = 1 << 20

const (
	minLimits = 1 << 8
	maxLimits = 1 << 28
)

// Options are the settings of a [Backend]. The zero value of every field means its default; nil means
// all defaults.
type Options struct {
	// Limits is for about how many keys rate limits are kept at a time: 256 to 2^28, default
	// [DefaultLimits]. A key takes about 250 bytes while something counts for it. Beyond that, new
	// keys share what is left.
	Limits int

	_ struct{}
}

func (o *Options) withDefaults() (Options, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.Limits == 0 {
		opt.Limits = DefaultLimits
	}
	if opt.Limits < minLimits || opt.Limits > maxLimits {
		return opt, fmt.Errorf("memorybackend: new: %w", &lease.InvalidError{
			Field: "Limits", Problem: fmt.Sprintf("must be 0 or %d to %d", minLimits, maxLimits),
		})
	}
	return opt, nil
}
