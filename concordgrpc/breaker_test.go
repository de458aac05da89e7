package concordgrpc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/retry"
)

// newBreaker returns an interceptor whose breakers open when two calls have failed.
func newBreaker(t *testing.T, o *concordgrpc.BreakerOptions) (*concordgrpc.Breaker, *breaker.Group[string]) {
	t.Helper()
	g, err := breaker.NewGroup[string]("servers", &breaker.GroupOptions{
		Breaker: &breaker.Options{MinCalls: 2, FailureRate: 1, Hooks: &breaker.Hooks{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := concordgrpc.NewBreaker(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return b, g
}

// A server that fails is left alone.
func TestBreaker(t *testing.T) {
	b, g := newBreaker(t, nil)
	s := &scripted{endings: []func(context.Context) error{fails(codes.Unavailable), fails(codes.Internal)}}
	c := through(t, s, b.Unary)
	for range 2 {
		check(t.Context(), c, "")
	}
	_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
	var rejected *breaker.RejectedError
	if status.Code(err) != codes.Unavailable || !errors.As(err, &rejected) || rejected.Key != s.target || len(s.came()) != 2 {
		t.Errorf("%v after %d calls", err, len(s.came()))
	}
	g.Get(s.target).Reset()
	if got := check(t.Context(), c, ""); got.Code() != codes.OK {
		t.Error(got)
	}
}

// What counts, and as what.
func TestBreakerOutcomes(t *testing.T) {
	failure := map[codes.Code]bool{
		codes.Unavailable: true, codes.DeadlineExceeded: true, codes.Internal: true, codes.Unknown: true, codes.DataLoss: true,
	}
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		b, g := newBreaker(t, nil)
		s := &scripted{endings: []func(context.Context) error{fails(code)}}
		if got := check(t.Context(), through(t, s, b.Unary), ""); got.Code() != code {
			t.Errorf("%v became %v", code, got)
		}
		n := g.Get(s.target).Counts()
		if ignored := code == codes.Canceled; (n.Calls == 0) != ignored || (n.Failed == 1) != failure[code] {
			t.Errorf("%v: %+v", code, n)
		}
	}
}

// A caller who leaves is not counted, also before the call.
func TestBreakerCancelled(t *testing.T) {
	b, g := newBreaker(t, &concordgrpc.BreakerOptions{
		Key:     func(_ context.Context, _, method string) string { return method },
		Outcome: func(error) breaker.Outcome { return breaker.Failure },
	})
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{endings: []func(context.Context) error{func(ctx context.Context) error { cancel(); return hangs(ctx) }}}
	c := through(t, s, b.Unary)
	counts := g.Get(healthpb.Health_Check_FullMethodName).Counts
	for range 2 {
		if got := check(ctx, c, ""); got.Code() != codes.Canceled || counts().Calls != 0 {
			t.Errorf("%v, %+v", got, counts())
		}
	}
	if check(t.Context(), c, ""); len(s.came()) != 2 || counts().Failed != 1 {
		t.Errorf("%d came, %+v", len(s.came()), counts())
	}
}

// A caller who closes the connection is not counted, whatever becomes of the call.
func TestBreakerClosed(t *testing.T) {
	b, g := newBreaker(t, &concordgrpc.BreakerOptions{Outcome: func(error) breaker.Outcome { return breaker.Failure }})
	came := make(chan struct{})
	s := &scripted{endings: []func(context.Context) error{func(ctx context.Context) error { close(came); return hangs(ctx) }}}
	_, s.target = listen(t, grpc.UnaryInterceptor(s.intercept))
	c := dial(t, s.target, grpc.WithUnaryInterceptor(b.Unary))
	var closing sync.WaitGroup
	closing.Go(func() {
		<-came
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	got := check(t.Context(), healthpb.NewHealthClient(c), "")
	closing.Wait()
	if n := g.Get(s.target).Counts(); got.Code() == codes.OK || n.Calls != 0 {
		t.Errorf("%v, %+v", got, n)
	}
}

// A panic on the way is a failure, and is seen by the program.
func TestBreakerPanics(t *testing.T) {
	b, g := newBreaker(t, nil)
	s := &scripted{}
	c := through(t, s, b.Unary, func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
		panic("in the way")
	})
	defer func() {
		if what, n := recover(), g.Get(s.target).Counts(); what != "in the way" || n.Failed != 1 {
			t.Errorf("panicked with %v, %+v", what, n)
		}
	}()
	got := check(t.Context(), c, "")
	t.Errorf("no panic, but %v", got)
}

// Attempts around a breaker wait for it; the breaker counts each.
func TestRetryAroundBreaker(t *testing.T) {
	b, g := newBreaker(t, nil)
	s := &scripted{endings: []func(context.Context) error{fails(codes.Unavailable), fails(codes.Unavailable)}}
	var classes []retry.Class
	hooks := &retry.Hooks{Failed: func(_ context.Context, i retry.Info) {
		if classes = append(classes, i.Class); i.Class == retry.ClassThrottled {
			g.Get(s.target).Reset() // as if the time were over
		}
	}}
	i := retrying(t, &retry.Options{MaxAttempts: 4, MaxRetryAfter: 1, Hooks: hooks}, always, nil)
	if got := check(t.Context(), through(t, s, i.Unary, b.Unary), ""); got.Code() != codes.OK || len(s.came()) != 3 || len(classes) != 3 {
		t.Errorf("%v after %q, %v", got, s.came(), classes)
	}
}

func TestBreakerBadInput(t *testing.T) {
	if _, err := concordgrpc.NewBreaker(nil, nil); err == nil || !strings.Contains(err.Error(), "group must") {
		t.Errorf("err = %v", err)
	}
}
