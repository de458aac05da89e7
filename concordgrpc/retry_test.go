package concordgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/retry"
)

// scripted is a server whose calls end as its list says, and well after it. It notes which attempt each is
// said to be, and what its context says.
type scripted struct {
	mu       sync.Mutex
	endings  []func(context.Context) error
	attempts []string
	target   string
}

func (s *scripted) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	end := func(context.Context) error { return nil }
	if n := len(s.attempts); n < len(s.endings) {
		end = s.endings[n]
	}
	sent := strings.Join(metadata.ValueFromIncomingContext(ctx, concordgrpc.MetadataAttempt), "+")
	s.attempts = append(s.attempts, fmt.Sprint(sent, "=", retry.AttemptFrom(ctx)))
	s.mu.Unlock()
	if err := end(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *scripted) came() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// fails ends a call with a code.
func fails(code codes.Code) func(context.Context) error {
	return func(context.Context) error { return status.Error(code, "so it is") }
}

// hangs ends a call with its context.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// asksFor ends a call with a RetryInfo.
func asksFor(code codes.Code, wait time.Duration) func(context.Context) error {
	return func(context.Context) error {
		s, err := status.New(code, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
		if err != nil {
			return err
		}
		return s.Err()
	}
}

// through starts the server and returns a client of it that has these interceptors.
func through(t *testing.T, s *scripted, interceptors ...grpc.UnaryClientInterceptor) healthpb.HealthClient {
	t.Helper()
	_, s.target = listen(t, grpc.ChainUnaryInterceptor(concordgrpc.AttemptsUnary, s.intercept))
	return healthpb.NewHealthClient(dial(t, s.target, grpc.WithChainUnaryInterceptor(interceptors...)))
}

func always(string) bool { return true }

func retrying(t *testing.T, o *retry.Options, idempotent func(string) bool, ro *concordgrpc.RetryOptions) *concordgrpc.Retry {
	t.Helper()
	var opt retry.Options
	if o != nil {
		opt = *o
	}
	if opt.Backoff == nil {
		opt.Backoff = retry.Constant(0)
	}
	r, err := retry.New("server", &opt)
	if err != nil {
		t.Fatal(err)
	}
	it, err := concordgrpc.NewRetry(r, idempotent, ro)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// Which failures are followed by another attempt.
func TestRetryCodes(t *testing.T) {
	for name, c := range map[string]struct {
		code       codes.Code
		idempotent func(string) bool
		o          *concordgrpc.RetryOptions
		want       int
	}{
		"unavailable":    {code: codes.Unavailable, want: 2},
		"exhausted":      {code: codes.ResourceExhausted, want: 2},
		"aborted":        {code: codes.Aborted, want: 2},
		"internal":       {code: codes.Internal, want: 1},
		"unknown":        {code: codes.Unknown, want: 1},
		"cancelled":      {code: codes.Canceled, want: 1},
		"its deadline":   {code: codes.DeadlineExceeded, want: 1},
		"not found":      {code: codes.NotFound, want: 1},
		"listed":         {code: codes.Internal, o: &concordgrpc.RetryOptions{Codes: []codes.Code{codes.Internal}}, want: 2},
		"not listed":     {code: codes.Unavailable, o: &concordgrpc.RetryOptions{Codes: []codes.Code{codes.Internal}}, want: 1},
		"not idempotent": {code: codes.Unavailable, idempotent: func(m string) bool { return m != healthpb.Health_Check_FullMethodName }, want: 1},
	} {
		s := &scripted{endings: []func(context.Context) error{fails(c.code)}}
		idempotent := c.idempotent
		if idempotent == nil {
			idempotent = always
		}
		got := check(t.Context(), through(t, s, retrying(t, nil, idempotent, c.o).Unary), "")
		want := []string{"=1", "2=2"}[:c.want]
		if !slices.Equal(s.came(), want) || (c.want == 2) != (got.Code() == codes.OK) {
			t.Errorf("%s: %v after %q", name, got, s.came())
		}
		if c.want == 1 && (got.Code() != c.code || got.Message() != "so it is") {
			t.Errorf("%s: the error has changed: %v", name, got)
		}
	}
}

// When all attempts have failed the error has the code of the last, and says how many there were.
func TestRetryExhausted(t *testing.T) {
	s := &scripted{endings: []func(context.Context) error{fails(codes.Aborted), fails(codes.Aborted), fails(codes.Unavailable)}}
	c := through(t, s, retrying(t, nil, always, nil).Unary)
	_, err := c.Check(metadata.AppendToOutgoingContext(t.Context(), "x-key", "a"), &healthpb.HealthCheckRequest{})
	var exhausted *retry.ExhaustedError
	if status.Code(err) != codes.Unavailable || !errors.As(err, &exhausted) || exhausted.Attempts != 3 {
		t.Errorf("err = %v", err)
	}
	if want := []string{"=1", "2=2", "3=3"}; !slices.Equal(s.came(), want) {
		t.Errorf("%q", s.came())
	}
}

// A server says when to come again, and is believed up to a bound.
func TestRetryInfo(t *testing.T) {
	const bound = 50 * time.Millisecond
	for name, c := range map[string]struct {
		asked, want time.Duration
	}{"heeded": {20 * time.Millisecond, 20 * time.Millisecond}, "cut": {time.Hour, bound}} {
		var delays []time.Duration
		hooks := &retry.Hooks{Scheduled: func(_ context.Context, i retry.Info) {
			if i.Class != retry.ClassThrottled {
				t.Errorf("%s: class %v", name, i.Class)
			}
			delays = append(delays, i.Delay)
		}}
		s := &scripted{endings: []func(context.Context) error{asksFor(codes.Unavailable, c.asked), asksFor(codes.ResourceExhausted, c.asked)}}
		i := retrying(t, &retry.Options{MaxRetryAfter: bound, Hooks: hooks}, always, nil)
		if got := check(t.Context(), through(t, s, i.Unary), ""); got.Code() != codes.OK || len(delays) != 2 {
			t.Errorf("%s: %v, %v", name, got, delays)
		}
		for _, d := range delays {
			if d < c.want || d > c.want+c.want/10 {
				t.Errorf("%s: waited %v", name, d)
			}
		}
	}
}

// An attempt that hangs is followed by another; a caller whose time is over, or who leaves, gets the
// status for it, whatever the last attempt said.
func TestRetryTimes(t *testing.T) {
	s := &scripted{endings: []func(context.Context) error{hangs}}
	i := retrying(t, &retry.Options{AttemptTimeout: time.Second}, always, nil)
	if got := check(t.Context(), through(t, s, i.Unary), ""); got.Code() != codes.OK || len(s.came()) != 2 {
		t.Errorf("%v after %q", got, s.came())
	}

	s = &scripted{endings: []func(context.Context) error{hangs}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got := check(ctx, through(t, s, retrying(t, nil, always, nil).Unary), ""); got.Code() != codes.DeadlineExceeded {
		t.Errorf("%v after %q", got, s.came())
	}

	s = &scripted{endings: []func(context.Context) error{fails(codes.Unavailable)}}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	i = retrying(t, &retry.Options{
		Backoff: retry.Constant(time.Hour),
		Hooks:   &retry.Hooks{Scheduled: func(context.Context, retry.Info) { cancel() }},
	}, always, nil)
	if got := check(ctx, through(t, s, i.Unary), ""); got.Code() != codes.Canceled || len(s.came()) != 1 {
		t.Errorf("%v after %q", got, s.came())
	}

	s = &scripted{endings: []func(context.Context) error{hangs}}
	i = retrying(t, &retry.Options{TotalTimeout: 100 * time.Millisecond}, always, nil)
	_, err := through(t, s, i.Unary).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, retry.ErrExhausted) || len(s.came()) > 1 { // none, where connecting takes as long
		t.Errorf("%v after %q", err, s.came())
	}
}

func TestRetryBadInput(t *testing.T) {
	_, err := concordgrpc.NewRetry(nil, nil, &concordgrpc.RetryOptions{Codes: []codes.Code{codes.OK}})
	for _, field := range []string{"r must", "idempotent must", "Codes must"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
