package concordgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
)

// BreakerOptions configure a [Breaker]. The zero value of every field means its default; nil means all
// defaults. NewBreaker copies them.
type BreakerOptions struct {
	// Key says which breaker of the group a call belongs to. The default is the target of the connection, all
	// members behind it together. It must not have more values than the group has places.
	Key func(ctx context.Context, target, method string) string

	// Outcome says what the error of a call, nil included, tells about the server. It is not asked for a caller
	// who has cancelled, or closed the connection. The default is that of [Outcome].
	Outcome func(error) breaker.Outcome

	// WholeStream judges a stream by its end and not by its beginning: one that breaks is a failure. Its
	// time is then all that it lasts. Not for streams that last longer than ProbeTimeout: as a probe, such
	// a stream tells nothing.
	WholeStream bool

	_ struct{}
}

// Outcome judges a call by its code. UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN and DATA_LOSS are
// failures. CANCELLED is ignored. All others are successes, also RESOURCE_EXHAUSTED: a server that
// refuses calls by itself works.
func Outcome(err error) breaker.Outcome {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss:
		return breaker.Failure
	case codes.Canceled:
		return breaker.Ignored
	}
	return breaker.Success
}

// Breaker stops calls of a gRPC client to servers that fail, as interceptors for grpc.NewClient. It comes
// from [NewBreaker]; the zero Breaker is not usable. Its methods may be called by several goroutines.
//
// A call that is not let through fails with UNAVAILABLE and a [*breaker.RejectedError], and is not sent.
type Breaker struct {
	group *breaker.Group[string]
	opt   BreakerOptions
}

// NewBreaker returns a Breaker. group has a breaker for each target and stays the caller's; what its
// options classify is not asked. A group that is nil is an [*InvalidError].
func NewBreaker(group *breaker.Group[string], o *BreakerOptions) (*Breaker, error) {
	var p problems
	p.check(group != nil, "group", "must not be nil")
	if err := p.err("new breaker"); err != nil {
		return nil, err
	}
	b := &Breaker{group: group}
	if o != nil {
		b.opt = *o
	}
	if b.opt.Key == nil {
		b.opt.Key = func(_ context.Context, target, _ string) string { return target }
	}
	if b.opt.Outcome == nil {
		b.opt.Outcome = Outcome
	}
	return b, nil
}

// Unary is a [grpc.UnaryClientInterceptor].
func (b *Breaker) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	permit, err := b.group.Get(b.opt.Key(ctx, cc.Target(), method)).Acquire(ctx)
	if err != nil {
		return notBegun(ctx, err)
	}
	defer permit.Report(breaker.Failure) // of a panic: what is reported second changes nothing
	err = invoke(ctx, method, req, reply, cc, opts...)
	permit.Report(b.outcome(ctx, cc, err))
	return err
}

// notBegun is the error of a call that was not let through.
func notBegun(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return withStatus(status.FromContextError(ctx.Err()).Code(), err)
	}
	return withStatus(codes.Unavailable, err)
}

// outcome judges the end of a call. When a program closes its connection, the calls under way end with
// CANCELLED or, as the connection breaks, UNAVAILABLE.
func (b *Breaker) outcome(ctx context.Context, cc *grpc.ClientConn, err error) breaker.Outcome {
	if err != nil && (ctx.Err() == context.Canceled || cc.GetState() == connectivity.Shutdown) {
		return breaker.Ignored
	}
	return b.opt.Outcome(err)
}
