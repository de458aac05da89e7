package concordhttp

import (
	"errors"
	"fmt"
)

// ErrOrigin is matched by every [*OriginError].
var ErrOrigin = errors.New("origin may not get a token")

// OriginError reports a request that was not sent, because its context carries a token and its
// origin is not one that may get it: a redirect led there, or the wrong client was used. It matches
// [ErrOrigin].
type OriginError struct {
	Origin string // scheme, host and port
}

// Error names the origin.
func (e *OriginError) Error() string { return fmt.Sprintf("concordhttp: %s: %s", ErrOrigin, e.Origin) }

// Is matches [ErrOrigin].
func (e *OriginError) Is(target error) bool { return target == ErrOrigin }
