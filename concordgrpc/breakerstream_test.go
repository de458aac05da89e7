package concordgrpc_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
)

// What the codes mean for a stream.
func TestStreamOutcomes(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		j := judge(t, refuses(code), nil, nil)
		s, err := say(t.Context(), j.ClientConn, serverTalks, "hello")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hear(s); status.Code(err) != code {
			t.Errorf("%v became %v", code, err)
		}
		if got, want := j.outcomes(), concordgrpc.Outcome(status.Error(code, "")); len(got) != 1 || got[0] != want {
			t.Errorf("%v: told %v, not %v", code, got, want)
		}
	}
}

// A server whose streams fail is left alone, and so is one that cannot be reached.
func TestStreamsRejected(t *testing.T) {
	for name, dead := range map[string]bool{"streams fail": false, "nobody is there": true} {
		j := judge(t, refuses(codes.Unavailable), nil, &breaker.Options{MinCalls: 2, FailureRate: 1})
		if dead {
			j.server.Stop()
		}
		for range 2 {
			s, err := j.NewStream(t.Context(), bothTalk, talk)
			if err == nil {
				_, err = hear(s)
			}
			if status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := j.NewStream(t.Context(), bothTalk, talk)
		var rejected *breaker.RejectedError
		if status.Code(err) != codes.Unavailable || !errors.As(err, &rejected) || rejected.Key != j.Target() {
			t.Errorf("%s: %v", name, err)
		}
		if got := j.outcomes(); len(got) != 2 {
			t.Errorf("%s: told %v", name, got)
		}
	}
}

// A caller who leaves while a stream is opened is not counted, and one who has left before does not
// even open it.
func TestStreamCancelledEarly(t *testing.T) {
	j := judge(t, silent, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := j.breaker.Stream(ctx, bothTalk, j.ClientConn, talk,
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			cancel()
			return nil, status.Error(codes.Unavailable, "so it is")
		})
	if got := j.outcomes(); status.Code(err) != codes.Unavailable || len(got) != 1 || got[0] != breaker.Ignored {
		t.Errorf("%v, told %v", err, got)
	}
	if _, err := j.NewStream(ctx, bothTalk, talk); status.Code(err) != codes.Canceled || len(j.outcomes()) != 1 {
		t.Errorf("%v, told %v", err, j.outcomes())
	}
}

// The server closes a stream when its time is over, and the client has not noticed that.
func TestStreamLateTimer(t *testing.T) {
	for name, what := range map[string]use{"Header": findsNoHeader, "SendMsg": sendsTooLong} {
		j := judge(t, silent, nil, nil)
		ctx := &timed{Context: t.Context(), deadline: time.Now().Add(50 * time.Millisecond), over: make(chan struct{})}
		s, err := j.NewStream(ctx, bothTalk, talk)
		if err == nil { // else time was over before that
			what(t, j, s)
		}
		close(ctx.over)
		if got := j.outcomes(); len(got) != 1 || got[0] != breaker.Failure {
			t.Errorf("%s: told %v", name, got)
		}
	}
}

// headless is a stream whose header an interceptor refuses.
type headless struct{ grpc.ClientStream }

func (headless) Header() (metadata.MD, error) {
	return nil, status.Error(codes.DataLoss, "refused")
}

// What an interceptor below makes of a stream counts like what the server does.
func TestStreamInterceptors(t *testing.T) {
	b, g := newBreaker(t, nil)
	refuse := func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, d, cc, method, o...)
		return headless{s}, err
	}
	_, addr := listen(t, talks(headed))
	s, err := dial(t, addr, grpc.WithChainStreamInterceptor(b.Stream, refuse)).NewStream(t.Context(), bothTalk, talk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Header(); status.Code(err) != codes.DataLoss || g.Get(addr).Counts().Failed != 1 {
		t.Errorf("%v, %+v", err, g.Get(addr).Counts())
	}
}

// What panics on the way is a failure of the call, and is seen by the program.
func TestStreamPanics(t *testing.T) {
	j := judge(t, ending, &concordgrpc.BreakerOptions{Outcome: func(error) breaker.Outcome { panic("in the outcome") }}, nil)
	panics := func(what string, call func()) {
		t.Helper()
		defer func() {
			if got := recover(); got != what {
				t.Errorf("panicked with %v, not %q", got, what)
			}
		}()
		call()
	}
	panics("in the way", func() {
		_, _ = j.breaker.Stream(t.Context(), bothTalk, j.ClientConn, talk,
			func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				panic("in the way")
			})
	})
	panics("in the outcome", func() {
		s, err := j.NewStream(t.Context(), bothTalk, talk)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = hear(s)
	})
	if got := j.outcomes(); !slices.Equal(got, []breaker.Outcome{breaker.Failure, breaker.Failure}) {
		t.Errorf("told %v", got)
	}
}

// A handler that panics is a failure like any other, where the server survives it.
func TestStreamHandlerPanics(t *testing.T) {
	recovers := func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			if what := recover(); what != nil {
				err = status.Errorf(codes.Internal, "%v", what)
			}
		}()
		return handler(srv, s)
	}
	b, g := newBreaker(t, nil)
	_, addr := listen(t, grpc.StreamInterceptor(recovers), talks(func(grpc.ServerStream) error { panic("in the handler") }))
	c := dial(t, addr, grpc.WithStreamInterceptor(b.Stream))
	for range 2 {
		s, err := say(t.Context(), c, serverTalks, "hello")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hear(s); status.Code(err) != codes.Internal {
			t.Error(err)
		}
	}
	if state := g.Get(addr).State(); state != breaker.Open {
		t.Errorf("the breaker is %v", state)
	}
}
