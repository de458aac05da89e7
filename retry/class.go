package retry

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// Class is what the failure of an attempt means for the next one. The zero value is [ClassUnknown].
type Class uint8

// The classes.
const (
	ClassUnknown   Class = iota // left to [Classify]
	ClassTransient              // may pass; the server may have done the work
	ClassThrottled              // the server, or who speaks for it, asked to come back later
	ClassTimeout                // no answer in time: the server may still be at it
	ClassUnsent                 // never reached the server
	ClassPermanent              // a healthy answer that stays the same: stops
	ClassCanceled               // somebody no longer wants it: stops
	ClassExhausted              // an inner Retrier has given up: stops
	classes
)

// String returns the name of the class.
func (c Class) String() string {
	switch c {
	case ClassTransient:
		return "transient"
	case ClassThrottled:
		return "throttled"
	case ClassTimeout:
		return "timeout"
	case ClassUnsent:
		return "unsent"
	case ClassPermanent:
		return "permanent"
	case ClassCanceled:
		return "canceled"
	case ClassExhausted:
		return "exhausted"
	}
	return "unknown"
}

// Permanent marks an error as one that another attempt would not change. nil stays nil.
func Permanent(err error) error { return Mark(err, ClassPermanent) }

// Mark says of which class an error is. The mark is found through wrapping, the outermost counts, and
// the text of the error stays the same. nil stays nil.
func Mark(err error, class Class) error {
	if err == nil {
		return nil
	}
	return &markedError{err, class}
}

type markedError struct {
	error
	class Class
}

func (e *markedError) Unwrap() error { return e.error }

// Classify is the default classification. The first that applies decides:
//
//   - what [Mark] or [Permanent] says;
//   - an [*ExhaustedError] of an inner Retrier: [ClassExhausted], unless that made a single attempt
//     because it was nested, and then its last error counts, or it was cancelled;
//   - [context.Canceled]: [ClassCanceled];
//   - a method RetryAfter() time.Duration: [ClassThrottled];
//   - a connection that could not be made, or a name that was not found: [ClassUnsent];
//   - [context.DeadlineExceeded], or a method Timeout() bool that returns true: [ClassTimeout];
//   - [errors.ErrUnsupported]: [ClassPermanent];
//   - everything else: [ClassTransient].
//
// An error that nobody has classified is therefore worth another attempt: most programs do not know
// all errors that pass, and the budget bounds the price of one that does not. A method Temporary is
// not asked, as errors that do pass, such as a connection that was reset, return false.
func Classify(err error) Class {
	var marked *markedError
	if errors.As(err, &marked) && marked.class > ClassUnknown && marked.class < classes {
		return marked.class
	}
	var inner *ExhaustedError
	if errors.As(err, &inner) {
		switch {
		case inner.Reason == NestedAttempt && inner.Last != nil:
			return Classify(inner.Last)
		case inner.Reason == Canceled:
			return ClassCanceled
		}
		return ClassExhausted
	}
	if errors.Is(err, context.Canceled) {
		return ClassCanceled
	}
	if _, ok := retryAfter(err); ok {
		return ClassThrottled
	}
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED) {
		return ClassUnsent
	}
	var late interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &late) && late.Timeout() {
		return ClassTimeout
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return ClassPermanent
	}
	return ClassTransient
}

// retryAfter returns what the error, or one that it wraps, asks to wait for.
func retryAfter(err error) (time.Duration, bool) {
	var hint interface{ RetryAfter() time.Duration }
	if !errors.As(err, &hint) {
		return 0, false
	}
	return max(0, hint.RetryAfter()), true
}
