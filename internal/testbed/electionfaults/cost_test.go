package electionfaults

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/concord-go/concord/election"
)

// What docs/operations.md states: the requests of a minute of each part that has nothing to do, with the
// default TTL.
var perMinute = map[string]struct{ leader, candidate, observer int64 }{
	single: {18, 90, 84},
	etcd:   {30, 36, 18},
}

func TestRequestsOfAnIdleElection(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, s store) {
		const window = 20 * time.Second
		var sent []func() int64
		part := func(id string) *candidate {
			t.Helper()
			r := &route{calls: &calls{}}
			if s.Kind == single { // the pings of a subscription, too
				r = &route{network: newNetwork(t)}
				sent = append(sent, func() int64 { return int64(r.network.Counts().Requests.Chunks) })
			} else {
				sent = append(sent, r.calls.n.Load)
			}
			return join(t, s, election.Candidate{ID: id}, election.Options{}, r)
		}
		c := newChronicle(t)
		leader, waiter, observer := part("leader"), part("candidate"), part("observer")
		leader.run(t, c, 0)
		c.led(t)
		waiter.run(t, c, 0)
		waiting(t, join(t, s, election.Candidate{ID: "test"}, election.Options{}, nil), 1)
		if observer.leases.Capabilities().Announce {
			watch(t, observer)
		}
		time.Sleep(time.Second) // what comes with the start is over
		var before [3]int64
		for i, f := range sent {
			before[i] = f()
		}
		time.Sleep(window)
		most := perMinute[s.Kind]
		for i, most := range []int64{most.leader, most.candidate, most.observer} {
			n := (sent[i]() - before[i]) * int64(time.Minute/window)
			part := []string{"leader", "candidate", "observer"}[i]
			if n > most || n == 0 && observer.leases.Capabilities().Announce {
				t.Errorf("%s: %d requests in a minute, want at most %d", part, n, most)
			}
			t.Logf("%s: %d requests in a minute", part, n)
		}
		if len(c.all()) != 1 {
			t.Errorf("%d terms, want the one", len(c.all()))
		}
	})
}

// calls counts what a client sends. It is a hook of go-redis and a pair of interceptors of gRPC.
type calls struct{ n atomic.Int64 }

func (c *calls) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *calls) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *calls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func (c *calls) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	c.n.Add(1)
	return invoke(ctx, method, req, reply, cc, opts...)
}

// stream counts what is sent on a stream: keep-alives and requests of watches.
func (c *calls) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &countedStream{s, c}, nil
}

type countedStream struct {
	grpc.ClientStream
	calls *calls
}

// SendMsg counts and sends.
func (s *countedStream) SendMsg(m any) error {
	s.calls.n.Add(1)
	return s.ClientStream.SendMsg(m)
}
