package retry

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrExhausted is matched by every [*ExhaustedError].
	ErrExhausted = errors.New("gave up")

	// ErrBudget is matched by every [*BudgetError].
	ErrBudget = errors.New("budget exhausted")

	// ErrClosed says that Hedge was called after [Retrier.Close].
	ErrClosed = errors.New("closed")

	// ErrInvalid is matched by every [*InvalidError].
	ErrInvalid = errors.New("invalid argument")

	// ErrAttemptTimeout is the [context.Cause] of an attempt that took longer than Options.AttemptTimeout.
	ErrAttemptTimeout = errors.New("attempt timeout")

	// ErrTotalTimeout is the [context.Cause] of a call that took longer than Options.TotalTimeout.
	ErrTotalTimeout = errors.New("total timeout")

	// ErrOvertaken is the [context.Cause] of an attempt that is no longer needed, as [Hedge] has returned.
	ErrOvertaken = errors.New("overtaken by another attempt")
)

// InvalidError reports an argument that was refused before anything was done. It matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Reason says why there was no further attempt.
type Reason string

// The reasons.
const (
	AttemptsExhausted Reason = "all attempts failed"            // Options.MaxAttempts were made
	BudgetExhausted   Reason = "no budget for another attempt"  // Cause is a [*BudgetError]
	DeadlineTooNear   Reason = "no time for another attempt"    // it could not end before the deadline
	TimeExhausted     Reason = "total time is over"             // Options.TotalTimeout
	Canceled          Reason = "canceled"                       // the caller's context ended, or the attempt says so
	PermanentFailure  Reason = "permanent failure"              // [ClassPermanent]
	InnerExhausted    Reason = "an inner call has given up"     // [ClassExhausted]
	NestedAttempt     Reason = "another layer makes attempts"   // see Options.RetryNested
	NotRepeatable     Reason = "must not be sent a second time" // Options.OnlyUnsent
)

// ExhaustedError is what [Do] and [Hedge] return when no attempt succeeded. It matches [ErrExhausted],
// wraps the last error and the cause, and so lets errors.Is and errors.As reach both.
type ExhaustedError struct {
	Name     string          // of the Retrier
	Reason   Reason          // why there was no further attempt
	Attempts int             // how many were made
	Delays   []time.Duration // the waits between attempts that followed failures, in order
	Last     error           // that of the last attempt that ended; nil if none did
	Cause    error           // context.Cause of a call that has ended, or a *BudgetError; else nil

	ended error         // Err of the context, which Cause may hide
	after time.Duration // see RetryAfter
}

// Error names the Retrier, the reason and both errors.
func (e *ExhaustedError) Error() string {
	var b strings.Builder
	plural := "s"
	if e.Attempts == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "retry: %q: %s after %d attempt%s", e.Name, e.Reason, e.Attempts, plural)
	for _, err := range []error{e.Cause, e.Last} {
		if err != nil {
			b.WriteString(": " + err.Error())
		}
	}
	return b.String()
}

// Unwrap returns the last error, the cause, and the error of a context that ended.
func (e *ExhaustedError) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Last, e.Cause, e.ended} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Is matches [ErrExhausted].
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// RetryAfter is a sensible time to begin anew, 0 where that makes no sense: what the server asked
// for, or else the delay before the attempt that was not made. Who calls in a loop should wait for it.
func (e *ExhaustedError) RetryAfter() time.Duration { return e.after }

// BudgetError says which budget refused an attempt. It matches [ErrBudget].
type BudgetError struct {
	Budget   string  // its name
	Level    float64 // what was left, in attempts
	Capacity float64 // what it holds at most
	Cost     float64 // what the attempt would have cost
}

// Error names the budget with its level.
func (e *BudgetError) Error() string {
	return fmt.Sprintf("budget %q has %.3g of %.3g attempts left, %.3g needed", e.Budget, e.Level, e.Capacity, e.Cost)
}

// Is matches [ErrBudget].
func (e *BudgetError) Is(target error) bool { return target == ErrBudget }

// PanicError is what [Hedge] panics with when an attempt has panicked, as that happened on another
// goroutine.
type PanicError struct {
	Value any    // what the attempt panicked with
	Stack []byte // of the goroutine that panicked
}

// Error has the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("%v\n\n%s", e.Value, e.Stack) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
