package concordgrpc

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/concord-go/concord/retry"
)

// MetadataAttempt is the metadata key that says which attempt a call is, from the second on. What
// begins with grpc- is gRPC's own.
const MetadataAttempt = "concord-attempt"

// AttemptsUnary is a [grpc.UnaryServerInterceptor] for servers that call others: it reads which attempt of its
// client a call is, and puts it into the context (retry.WithAttempt). A [retry.Retrier] of the handler
// then makes a single attempt within a second or later one of the client. What is not a number, or
// stands twice, is ignored. Anybody may send it: it can only make a call be tried less often.
func AttemptsUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(receiveAttempt(ctx), req)
}

// AttemptsStream is a [grpc.StreamServerInterceptor] that does for streams what [AttemptsUnary] does for
// calls.
func AttemptsStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, &attemptStream{stream, receiveAttempt(stream.Context())})
}

// attemptStream is a stream whose context knows which attempt it is.
type attemptStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *attemptStream) Context() context.Context { return s.ctx }

// sendAttempt has the calls under the context it returns say which attempt they are.
func sendAttempt(ctx context.Context, number int) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(MetadataAttempt, strconv.Itoa(number))
	return metadata.NewOutgoingContext(ctx, md)
}

func receiveAttempt(ctx context.Context) context.Context {
	if values := metadata.ValueFromIncomingContext(ctx, MetadataAttempt); len(values) == 1 {
		if n, err := strconv.ParseUint(values[0], 10, 16); err == nil && n > 1 {
			return retry.WithAttempt(ctx, int(n))
		}
	}
	return ctx
}
