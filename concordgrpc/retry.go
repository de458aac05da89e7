package concordgrpc

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/retry"
)

// RetryOptions configure a [Retry]. The zero value of every field means its default; nil means all
// defaults. NewRetry copies them.
type RetryOptions struct {
	// Codes are those that another attempt may change: default UNAVAILABLE, RESOURCE_EXHAUSTED and ABORTED.
	// RESOURCE_EXHAUSTED is also what gRPC calls a message that is too large, which no attempt
	// changes; ABORTED is only worth it for calls that are a whole transaction.
	Codes []codes.Code

	_ struct{}
}

// Retry makes further attempts at calls of a gRPC client that failed, as an interceptor for
// grpc.WithChainUnaryInterceptor, and at what the program does with streams. It comes from [NewRetry]; the
// zero Retry is not usable. Its methods may be called by several goroutines.
//
// A google.rpc.RetryInfo of the server is heeded within the bound of the Retrier. DEADLINE_EXCEEDED is
// followed by another attempt if the Retrier bounds the time of each, and else not. If there is no further
// attempt the error is that of the last, in a [*retry.ExhaustedError] with the same status; a failure that
// no attempt was to follow is returned as it is. When ctx ends the status is CANCELLED or
// DEADLINE_EXCEEDED.
//
// A client with a retryPolicy in its service config makes attempts of its own within each: have one of
// the two.
type Retry struct {
	retrier    *retry.Retrier
	idempotent func(method string) bool
	codes      []codes.Code
}

// NewRetry returns a Retry. r says how many attempts are made, when, and at what price; it stays the
// caller's. idempotent names the methods that may be executed more than once, such as
// "/shop.Orders/Get"; gRPC does not know. All other calls pass as they are.
//
// Arguments and options that are out of bounds are reported all at once, each as an [*InvalidError].
func NewRetry(r *retry.Retrier, idempotent func(method string) bool, o *RetryOptions) (*Retry, error) {
	it := &Retry{retrier: r, idempotent: idempotent, codes: []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Aborted}}
	if o != nil && len(o.Codes) > 0 {
		it.codes = slices.Clone(o.Codes)
	}
	var p problems
	p.check(r != nil, "r", "must not be nil")
	p.check(idempotent != nil, "idempotent", "must not be nil")
	p.check(!slices.Contains(it.codes, codes.OK), "Codes", "must be of failures, not OK")
	if err := p.err("new retry"); err != nil {
		return nil, err
	}
	return it, nil
}

// Unary is a [grpc.UnaryClientInterceptor].
func (r *Retry) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if !r.idempotent(method) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	return r.Do(ctx, func(ctx context.Context) error { return invoke(ctx, method, req, reply, cc, opts...) })
}

// Do calls fn, and again after an error that Unary would follow with another attempt. It is for streams: fn
// opens one with its ctx, and returns when it has read it to the end (nil then, not io.EOF) or when it
// broke. fn may remember how far it came and begin there the next time. It must be able to run more
// than once.
//
// The times of the Retrier are those of all that fn does, and its number of attempts is one for each
// Do. For a stream that is to last, have fn return nil when one breaks that has brought something, and
// call Do again.
func (r *Retry) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	call, stop := context.WithCancel(ctx)
	defer stop()
	var last, final error
	_, err := retry.Do(call, r.retrier, func(ctx context.Context, _ retry.Attempt) (struct{}, error) {
		if n := retry.AttemptFrom(ctx); n > 1 {
			ctx = sendAttempt(ctx, n)
		}
		last = fn(ctx)
		class := r.class(last)
		if class == retry.ClassUnknown && hurried(ctx, call, last) {
			class = retry.ClassTimeout
		}
		if class == retry.ClassUnknown {
			final = last
			stop()
		}
		return struct{}{}, marked(last, class)
	})
	var exhausted *retry.ExhaustedError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return withStatus(status.FromContextError(ctx.Err()).Code(), err)
	case final != nil:
		return final
	case errors.As(err, &exhausted) && exhausted.Reason == retry.PermanentFailure:
		return last
	}
	return err
}

// hurried reports whether an attempt under ctx had less time than its call, and has failed by that. The
// server may have noticed its end before the client.
func hurried(ctx, call context.Context, err error) bool {
	own, bounded := ctx.Deadline()
	whole, also := call.Deadline()
	return status.Code(err) == codes.DeadlineExceeded && bounded && (!also || own.Before(whole))
}

// class says what the error of an attempt means. ClassUnknown is one that ends the call and says nothing
// good about the server.
func (r *Retry) class(err error) retry.Class {
	var hint interface{ RetryAfter() time.Duration }
	switch code := status.Code(err); {
	case err == nil:
		return retry.ClassTransient
	case errors.Is(err, retry.ErrExhausted), errors.As(err, &hint):
		return retry.Classify(err) // of another interceptor of this client
	case slices.Contains(r.codes, code):
		if code == codes.ResourceExhausted || askedToWait(err) > 0 {
			return retry.ClassThrottled
		}
		return retry.ClassTransient
	case code == codes.Unknown, code == codes.Internal, code == codes.DataLoss, code == codes.DeadlineExceeded,
		code == codes.Canceled, code == codes.Unavailable, code == codes.ResourceExhausted:
		return retry.ClassUnknown
	}
	return retry.ClassPermanent // an answer of a server that works
}

// marked tells the Retrier.
func marked(err error, class retry.Class) error {
	if err == nil {
		return nil
	}
	if wait := askedToWait(err); wait > 0 {
		err = &patientError{err, wait}
	}
	return retry.Mark(err, class)
}

// askedToWait returns the RetryInfo of an error, or 0.
func askedToWait(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return max(0, info.GetRetryDelay().AsDuration())
		}
	}
	return 0
}

// patientError is an error with the time that its server asks for.
type patientError struct {
	error
	after time.Duration
}

func (e *patientError) Unwrap() error             { return e.error }
func (e *patientError) RetryAfter() time.Duration { return e.after }
