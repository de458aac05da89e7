package concordgrpc_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
)

// judged is a client whose streams are judged, and what its breaker was told.
type judged struct {
	*grpc.ClientConn
	server  *grpc.Server
	breaker *concordgrpc.Breaker
	state   *breaker.Breaker // of the server
	expire  func()           // ends the time of a stream
	begun   func()           // called when a method of a stream is under way; may be nil

	mu   sync.Mutex
	told []breaker.Outcome
}

// below is an interceptor below the breaker.
func (j *judged) below(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, cc, method, o...)
	return &belowStream{s, j}, err
}

type belowStream struct {
	grpc.ClientStream
	*judged
}

func (s *belowStream) under() {
	if s.begun != nil {
		s.begun()
	}
}

func (s *belowStream) Header() (metadata.MD, error) {
	s.under()
	return s.ClientStream.Header()
}

func (s *belowStream) SendMsg(m any) error {
	s.under()
	return s.ClientStream.SendMsg(m)
}

func (s *belowStream) RecvMsg(m any) error {
	s.under()
	return s.ClientStream.RecvMsg(m)
}

// timed is a context whose time is over when the test says so.
type timed struct {
	context.Context
	deadline time.Time // that it tells, if it is not zero
	over     chan struct{}
}

func (c *timed) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *timed) Done() <-chan struct{}       { return c.over }

func (c *timed) Err() error {
	select {
	case <-c.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// judge starts a server whose streams end as handle does, and a client of it.
func judge(t *testing.T, handle func(grpc.ServerStream) error, o *concordgrpc.BreakerOptions, bo *breaker.Options) *judged {
	t.Helper()
	j := &judged{}
	opt := breaker.Options{}
	if bo != nil {
		opt = *bo
	}
	opt.Hooks = &breaker.Hooks{Ended: func(_ context.Context, i breaker.Info) {
		j.mu.Lock()
		j.told = append(j.told, i.Outcome)
		j.mu.Unlock()
	}}
	g, err := breaker.NewGroup[string]("servers", &breaker.GroupOptions{Breaker: &opt})
	if err != nil {
		t.Fatal(err)
	}
	j.breaker, err = concordgrpc.NewBreaker(g, o)
	if err != nil {
		t.Fatal(err)
	}
	var addr string
	// The window is fixed, so that who does not read takes no more.
	j.server, addr = listen(t, talks(handle), grpc.InitialWindowSize(1<<16))
	j.state = g.Get(addr)
	j.ClientConn = dial(t, addr, grpc.WithChainStreamInterceptor(j.breaker.Stream, j.below))
	return j
}

// outcomes returns what the breaker was told until now.
func (j *judged) outcomes() []breaker.Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.told)
}

// silent serves a stream until its client leaves, and says nothing.
func silent(s grpc.ServerStream) error { return hangs(s.Context()) }

// refuses serves a stream by failing at once.
func refuses(code codes.Code) func(grpc.ServerStream) error {
	return func(grpc.ServerStream) error { return status.Error(code, "so it is") }
}

// greets serves a stream by one word and then ends.
func greets(end func(grpc.ServerStream) error) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		if err := s.SendMsg(word("hello")); err != nil {
			return err
		}
		return end(s)
	}
}

func ending(grpc.ServerStream) error { return nil }

// headed serves a stream by its header alone.
func headed(s grpc.ServerStream) error {
	if err := s.SendHeader(metadata.Pairs("x-served", "yes")); err != nil {
		return err
	}
	return silent(s)
}
