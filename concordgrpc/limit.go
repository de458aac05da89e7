package concordgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/concord-go/concord/ratelimit"
)

// LimitOptions configure a [Limiter]. The zero value of every field means its default; nil means all
// defaults. NewLimiter copies them.
type LimitOptions struct {
	// Cost says how many units a call costs: 1 by default. request is nil for a stream, which is counted
	// when it begins. What costs less than 1 passes uncounted. What costs more than the smallest
	// burst of the policy can never pass, and is refused with INVALID_ARGUMENT.
	Cost func(ctx context.Context, method string, request any) int64

	// MessageCost says how many units a message costs that the client of a stream sends, beside what the
	// stream has cost when it began. The default is nothing. It sees also the one request of a call that is
	// answered by a stream. The handler receives the refusal of a message in place of it, and of all that
	// come after it; to slow a client down instead, call ratelimit.Limiter.Wait in the handler.
	MessageCost func(ctx context.Context, method string, message any) int64

	// Shared is the key of all calls without one, which then share a limit: up to [ratelimit.MaxKey]
	// bytes. Without it they are refused. Calls whose key is malformed are refused in any case.
	Shared string

	_ struct{}
}

// Limiter lets a call of a gRPC server pass if a rate limit allows it, as interceptors for
// grpc.NewServer. Limiters come from [NewLimiter]; the zero Limiter is not usable. Its methods may be
// called by several goroutines.
//
// A call that is over a limit is refused with RESOURCE_EXHAUSTED, and one that nobody could decide about
// with UNAVAILABLE; both carry a google.rpc.RetryInfo that says when to come again, never too early, and
// the first a google.rpc.QuotaFailure that names the limit. A call without a key is UNAUTHENTICATED, one
// whose key is malformed INVALID_ARGUMENT.
//
// A handler that fails, or a client that leaves, does not give its units back.
//
// A stream is a call. LimitOptions.MessageCost counts what the client sends in it, too.
type Limiter struct {
	limits *ratelimit.Limiter
	by     KeyFunc
	opt    LimitOptions
}

// NewLimiter returns a Limiter that asks limits, which stays the caller's, for the key that by finds.
//
// Arguments and options that are out of bounds are reported all at once, each as an [*InvalidError].
func NewLimiter(limits *ratelimit.Limiter, by KeyFunc, o *LimitOptions) (*Limiter, error) {
	l := &Limiter{limits: limits, by: by}
	if o != nil {
		l.opt = *o
	}
	var p problems
	p.check(limits != nil, "limits", "must not be nil")
	p.check(by != nil, "by", "must not be nil")
	p.check(len(l.opt.Shared) <= ratelimit.MaxKey, "Shared", "must have at most %d bytes", ratelimit.MaxKey)
	if err := p.err("new limiter"); err != nil {
		return nil, err
	}
	return l, nil
}

// Unary is a [grpc.UnaryServerInterceptor].
func (l *Limiter) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := l.admit(ctx, info.FullMethod, "call", l.cost(ctx, info.FullMethod, req)); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// Stream is a [grpc.StreamServerInterceptor].
func (l *Limiter) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, method := stream.Context(), info.FullMethod
	if err := l.admit(ctx, method, "call", l.cost(ctx, method, nil)); err != nil {
		return err
	}
	if l.opt.MessageCost != nil {
		stream = &limitedStream{ServerStream: stream, limiter: l, method: method}
	}
	return handler(srv, stream)
}

// limitedStream counts the messages that it receives.
type limitedStream struct {
	grpc.ServerStream
	limiter *Limiter
	method  string
	refused error // the first refusal
}

// RecvMsg receives a message if it may pass.
func (s *limitedStream) RecvMsg(m any) error {
	if s.refused != nil {
		return s.refused
	}
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	ctx := s.Context()
	s.refused = s.limiter.admit(ctx, s.method, "message", s.limiter.opt.MessageCost(ctx, s.method, m))
	return s.refused
}

func (l *Limiter) cost(ctx context.Context, method string, req any) int64 {
	if l.opt.Cost == nil {
		return 1
	}
	return l.opt.Cost(ctx, method, req)
}

// admit decides whether a call, or a message of one, may pass. The error is its status.
func (l *Limiter) admit(ctx context.Context, method, what string, cost int64) error {
	if cost < 1 {
		return nil
	}
	key, err := l.key(ctx, method)
	switch {
	case errors.Is(err, ErrNoKey):
		return status.Error(codes.Unauthenticated, "the call does not say who makes it")
	case err != nil: // the error itself stays here: it may tell the key
		return status.Error(codes.InvalidArgument, "what says who makes the call is malformed")
	}
	d, err := l.limits.AllowN(ctx, key, cost)
	switch {
	case errors.Is(err, ratelimit.ErrInvalid):
		return status.Errorf(codes.InvalidArgument, "the %s costs more than can ever be allowed", what)
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case err != nil: // the limiter was closed
		return refusal(codes.Unavailable, "it could not be decided whether the "+what+" may pass", time.Second, "")
	case d.Allowed:
		return nil
	case d.Source == ratelimit.FromFallback:
		return refusal(codes.Unavailable, "fewer "+what+"s than usual can be served at the moment", d.RetryAfter, "")
	}
	return refusal(codes.ResourceExhausted, "too many "+what+"s", d.RetryAfter, d.Limit)
}

// key returns the key of a call, which has 1 to MaxKey bytes.
func (l *Limiter) key(ctx context.Context, method string) (string, error) {
	key, err := l.by(ctx, method)
	switch {
	case errors.Is(err, ErrNoKey), err == nil && key == "":
		if l.opt.Shared == "" {
			return "", ErrNoKey
		}
		return l.opt.Shared, nil
	case err == nil && len(key) > ratelimit.MaxKey:
		return "", &InvalidError{Field: "key", Problem: fmt.Sprintf("must have 1 to %d bytes", ratelimit.MaxKey)}
	}
	return key, err
}

// refusal is a status that says when to come again.
func refusal(code codes.Code, message string, after time.Duration, limit string) error {
	s := status.New(code, message)
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
	detailed, err := s.WithDetails(retry)
	if limit != "" {
		detailed, err = s.WithDetails(retry, &errdetails.QuotaFailure{
			Violations: []*errdetails.QuotaFailure_Violation{{Subject: limit, Description: "rate limit exceeded"}},
		})
	}
	if err != nil { // a code other than OK takes details
		return s.Err()
	}
	return detailed.Err()
}
