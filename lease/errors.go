package lease

import "errors"

var (
	// ErrUnavailable means that the engine did not answer, or cannot serve now (starting, failing
	// over, out of memory). Asking again may help.
	ErrUnavailable = errors.New("engine unavailable")

	// ErrUnsupported means that the engine does not have this part of the port.
	ErrUnsupported = errors.New("not supported by this engine")

	// ErrUncertain means that nobody knows whether the request took effect: it was sent and never
	// answered. What it may have left behind is cleaned up in the background.
	ErrUncertain = errors.New("outcome uncertain")

	// ErrNotHeld means that a release found nothing to release: the lease had ended before.
	ErrNotHeld = errors.New("not held")

	// ErrClosed means that the object was closed.
	ErrClosed = errors.New("closed")

	// ErrInvalid is matched by every [*InvalidError].
	ErrInvalid = errors.New("invalid argument")
)

// InvalidError reports an argument that was refused before anything was sent. It matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
