package stores

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
)

// Calls counts what clients send. It is a hook of go-redis and a pair of interceptors of gRPC. The zero
// value has counted nothing; it must not be copied. Its methods may be called from any goroutine.
type Calls struct{ n atomic.Int64 }

// Sent returns how many commands, requests and messages on streams were sent.
func (c *Calls) Sent() int64 { return c.n.Load() }

// DialHook implements [redis.Hook].
func (c *Calls) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements [redis.Hook].
func (c *Calls) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (c *Calls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func (c *Calls) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	c.n.Add(1)
	return invoke(ctx, method, req, reply, cc, opts...)
}

// stream counts what is sent on a stream: keep-alives and requests of watches.
func (c *Calls) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &countedStream{s, c}, nil
}

type countedStream struct {
	grpc.ClientStream
	calls *Calls
}

// SendMsg counts and sends.
func (s *countedStream) SendMsg(m any) error {
	s.calls.n.Add(1)
	return s.ClientStream.SendMsg(m)
}
