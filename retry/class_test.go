package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/retry"
)

// busy is an error that says when to come back.
type busy time.Duration

func (e busy) Error() string             { return "busy" }
func (e busy) RetryAfter() time.Duration { return time.Duration(e) }

func TestClassify(t *testing.T) {
	plain := errors.New("plain")
	dial := &net.OpError{Op: "dial", Err: errors.New("i/o timeout")}
	for _, c := range []struct {
		err  error
		want retry.Class
	}{
		{plain, retry.ClassTransient},
		{io.ErrUnexpectedEOF, retry.ClassTransient},
		{syscall.ECONNRESET, retry.ClassTransient}, // whose Temporary is false
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, retry.ClassTransient},
		{retry.Permanent(plain), retry.ClassPermanent},
		{fmt.Errorf("wrapped: %w", retry.Permanent(plain)), retry.ClassPermanent},
		{retry.Mark(retry.Permanent(plain), retry.ClassTimeout), retry.ClassTimeout},
		{retry.Mark(busy(1), retry.ClassPermanent), retry.ClassPermanent},
		{retry.Mark(context.Canceled, retry.ClassUnknown), retry.ClassCanceled},
		{retry.Mark(plain, 200), retry.ClassTransient},
		{context.Canceled, retry.ClassCanceled},
		{&url.Error{Op: "Get", URL: "http://x", Err: context.Canceled}, retry.ClassCanceled},
		{context.DeadlineExceeded, retry.ClassTimeout},
		{os.ErrDeadlineExceeded, retry.ClassTimeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, retry.ClassTimeout},
		{syscall.ETIMEDOUT, retry.ClassTimeout},
		{busy(0), retry.ClassThrottled},
		{fmt.Errorf("wrapped: %w", busy(time.Second)), retry.ClassThrottled},
		{dial, retry.ClassUnsent},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, retry.ClassUnsent},
		{syscall.ECONNREFUSED, retry.ClassUnsent},
		{&net.DNSError{IsNotFound: true}, retry.ClassUnsent},
		{errors.ErrUnsupported, retry.ClassPermanent},
		{errors.Join(plain, retry.Permanent(plain)), retry.ClassPermanent},
		{&retry.ExhaustedError{Reason: retry.AttemptsExhausted, Last: plain}, retry.ClassExhausted},
		{fmt.Errorf("wrapped: %w", &retry.ExhaustedError{Reason: retry.PermanentFailure, Last: plain}), retry.ClassExhausted},
		{&retry.ExhaustedError{Reason: retry.NestedAttempt, Last: syscall.ECONNREFUSED}, retry.ClassUnsent},
		{&retry.ExhaustedError{Reason: retry.Canceled, Last: plain}, retry.ClassCanceled},
	} {
		if got := retry.Classify(c.err); got != c.want {
			t.Errorf("%#v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestMarkKeepsTheError(t *testing.T) {
	if retry.Permanent(nil) != nil || retry.Mark(nil, retry.ClassTimeout) != nil {
		t.Error("nil became an error")
	}
	err := retry.Permanent(io.EOF)
	if !errors.Is(err, io.EOF) || err.Error() != "EOF" {
		t.Errorf("%v", err)
	}
}

func TestClassNames(t *testing.T) {
	seen := map[string]bool{}
	for c := retry.ClassUnknown; c <= retry.ClassExhausted; c++ {
		if seen[c.String()] {
			t.Errorf("two classes are called %q", c)
		}
		seen[c.String()] = true
	}
	if retry.Class(99).String() != "unknown" {
		t.Error(retry.Class(99).String())
	}
}
