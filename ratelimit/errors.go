package ratelimit

import "errors"

// The conditions an operation can end in, for [errors.Is]. Refusals are no errors, but of Wait. Every
// error of this package names the operation and the key.
var (
	ErrLimited     = errors.New("rate limit exceeded")          // Wait: a [*LimitedError]
	ErrUnavailable = errors.New("engine unavailable")           // the engine did not answer; trying again may help
	ErrUncertain   = errors.New("outcome uncertain")            // it may have counted the call
	ErrUnsupported = errors.New("not supported by this engine") // nothing was counted
	ErrClosed      = errors.New("closed")                       // the Limiter was closed
	ErrInvalid     = errors.New("invalid argument")             // an [*InvalidError]; nothing was counted
)

// InvalidError reports an argument that was refused before anything was counted. It matches
// [ErrInvalid].
type InvalidError struct {
	Field   string // the argument, option or field of a limit
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
