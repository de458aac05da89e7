package breaker

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The conditions a call can end in before it began, for [errors.Is]. A call that was let through ends
// with its own error.
var (
	ErrRejected = errors.New("rejected by the breaker") // a [*RejectedError]
	ErrInvalid  = errors.New("invalid argument")        // an [*InvalidError]
)

// RejectedError says that a call was not let through. It matches [ErrRejected]. It may be shared by
// several callers and must not be changed.
type RejectedError struct {
	Name   string // of the breaker, or of its group
	Key    string // of the breaker in its group
	State  State  // of the breaker
	Reason Reason // why this call was rejected; for one that is open, why it has opened
	until  time.Time
}

// Error names the breaker, its state and the time to wait.
func (e *RejectedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "breaker: acquire %q", e.Name)
	if e.Key != "" {
		fmt.Fprintf(&b, " %q", e.Key)
	}
	fmt.Fprintf(&b, ": %s: %s", e.State, e.Reason)
	if d := e.RetryAfter(); d > 0 {
		fmt.Fprintf(&b, ", try again in %v", d.Round(time.Millisecond))
	}
	return b.String()
}

// Is matches [ErrRejected].
func (e *RejectedError) Is(target error) bool { return target == ErrRejected }

// RetryAfter is the time from now until the breaker will let a call through to try. It is 0 if that
// time has come, or if nobody knows: until a probe ends, an operator relents, or chance lets the call
// into the share of a ramp.
func (e *RejectedError) RetryAfter() time.Duration {
	if e.until.IsZero() {
		return 0
	}
	return max(0, time.Until(e.until))
}

// InvalidError names the argument or option that was refused. It matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// problems collects what is wrong with arguments and options.
type problems []error

func (p *problems) check(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

// err returns all problems under the name of the constructor, or nil.
func (p problems) err(op string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("breaker: %s: %w", op, errors.Join(p...))
}
