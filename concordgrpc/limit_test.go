package concordgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/ratelimit"
)

// limited starts a server whose calls are limited, and returns a client of it.
func limited(t *testing.T, be *memorybackend.Backend, by concordgrpc.KeyFunc, o *concordgrpc.LimitOptions, limit ratelimit.Limit, more ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	p, err := ratelimit.NewPolicy(limit)
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.New(be.Limits(), p, &ratelimit.Options{Hooks: &ratelimit.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, limits.Close)
	l, err := concordgrpc.NewLimiter(limits, by, o)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := listen(t, append(more, grpc.UnaryInterceptor(l.Unary), grpc.StreamInterceptor(l.Stream))...)
	return dial(t, addr)
}

// hour lets two through an hour.
var hour = ratelimit.Limit{Name: "hour", N: 2, Per: time.Hour, Down: ratelimit.Closed}

func check(ctx context.Context, c healthpb.HealthClient, service string) *status.Status {
	_, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	return status.Convert(err)
}

func as(key string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "x-key", key)
}

// after returns what a refusal says about when to come again, and which limit was exceeded.
func after(s *status.Status) (wait time.Duration, limit string) {
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.RetryInfo:
			wait = d.GetRetryDelay().AsDuration()
		case *errdetails.QuotaFailure:
			limit = d.GetViolations()[0].GetSubject()
		}
	}
	return wait, limit
}

func TestLimiter(t *testing.T) {
	be := store(t)
	c := healthpb.NewHealthClient(limited(t, be, concordgrpc.ByMetadata("X-Key"), nil, hour))
	for range 2 {
		if s := check(as("a"), c, ""); s.Code() != codes.OK {
			t.Fatal(s)
		}
	}
	s := check(as("a"), c, "")
	if wait, limit := after(s); s.Code() != codes.ResourceExhausted || limit != "hour" || wait < 29*time.Minute || wait > 30*time.Minute {
		t.Errorf("%v, %v, %q", s, wait, limit)
	}
	if s := check(as("b"), c, ""); s.Code() != codes.OK {
		t.Errorf("another key: %v", s)
	}
	stream, err := c.Watch(as("a"), &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a stream: %v", err)
	}
	twice := metadata.AppendToOutgoingContext(as("a"), "x-key", "b")
	for _, c := range []struct {
		s    *status.Status
		want codes.Code
	}{
		{check(context.Background(), c, ""), codes.Unauthenticated}, {check(as(""), c, ""), codes.Unauthenticated},
		{check(twice, c, ""), codes.InvalidArgument}, {check(as(strings.Repeat("k", 513)), c, ""), codes.InvalidArgument},
	} {
		if c.s.Code() != c.want || strings.Contains(c.s.Message(), "kkk") {
			t.Errorf("%v, want %v", c.s, c.want)
		}
	}
	be.Control().FailNext(1, ratelimit.ErrUnavailable)
	s = check(as("b"), c, "")
	if wait, _ := after(s); s.Code() != codes.Unavailable || wait <= 0 {
		t.Errorf("the engine is away: %v, %v", s, wait)
	}
}

func TestLimitKeysAndCosts(t *testing.T) {
	cost := func(_ context.Context, _ string, req any) int64 {
		r, ok := req.(*healthpb.HealthCheckRequest)
		if !ok {
			return 2
		}
		return int64(len(r.GetService()))
	}
	principal := func(ctx context.Context) string {
		values := metadata.ValueFromIncomingContext(ctx, "x-key")
		if len(values) == 0 {
			return ""
		}
		return values[0]
	}
	by := concordgrpc.Keys(concordgrpc.ByPrincipal(principal), concordgrpc.ByMethod())
	c := healthpb.NewHealthClient(limited(t, store(t), by, &concordgrpc.LimitOptions{Cost: cost, Shared: "shared"}, hour))
	for i, step := range []struct {
		ctx  context.Context
		cost string
		want codes.Code
	}{
		{as("a"), "", codes.OK}, {as("a"), "xxx", codes.InvalidArgument}, {as("a"), "xx", codes.NotFound}, {as("a"), "x", codes.ResourceExhausted},
		{context.Background(), "xx", codes.NotFound}, {context.Background(), "x", codes.ResourceExhausted},
	} {
		if s := check(step.ctx, c, step.cost); s.Code() != step.want { // no service has such a name
			t.Errorf("step %d: %v, want %v", i, s, step.want)
		}
	}
	stream, err := c.Watch(as("a"), &healthpb.HealthCheckRequest{}) // another method
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Errorf("a stream: %v", err)
	}
	if _, err := concordgrpc.Keys()(t.Context(), "m"); !errors.Is(err, concordgrpc.ErrNoKey) {
		t.Errorf("%v", err)
	}
}

// Messages of streams cost, too, if the program says so.
func TestLimitMessages(t *testing.T) {
	cost := func(_ context.Context, m string, message any) int64 {
		r, ok := message.(*healthpb.HealthCheckRequest)
		if !ok || m != talk {
			return 100
		}
		return int64(len(r.GetService()))
	}
	free := func(context.Context, string, any) int64 { return 0 }
	refused := make(chan error, 2)
	echoes := func(s grpc.ServerStream) error {
		for {
			w, err := hear(s)
			if err == nil {
				err = s.SendMsg(word(w))
			}
			if err != nil {
				_, again := hear(s)
				refused <- errors.Join(err, again)
				return fmt.Errorf("read on: %w", err)
			}
		}
	}
	be := store(t)
	c := limited(t, be, concordgrpc.ByMetadata("x-key"), &concordgrpc.LimitOptions{Cost: free, MessageCost: cost}, hour, talks(echoes))
	for i, step := range []struct {
		key   string
		words []string // "" passes uncounted
		want  codes.Code
	}{
		{"a", []string{"", "x", "", "x", "", "x"}, codes.ResourceExhausted},
		{"a", []string{"", "x"}, codes.ResourceExhausted},
		{"b", []string{"x", "xxx"}, codes.InvalidArgument},
		{"b", []string{"x", "x"}, codes.ResourceExhausted},
	} {
		ctx, cancel := context.WithCancel(as(step.key))
		s, err := c.NewStream(ctx, bothTalk, talk)
		if err != nil {
			t.Fatal(err)
		}
		for n, w := range step.words {
			if err := s.SendMsg(word(w)); err != nil {
				t.Fatal(err)
			}
			got, err := hear(s)
			if last := n == len(step.words)-1; !last && (got != w || err != nil) || last && status.Code(err) != step.want {
				t.Errorf("step %d, word %d: %q, %v", i, n, got, err)
			}
			if wait, limit := after(status.Convert(err)); step.want == codes.ResourceExhausted && err != nil && (wait <= 0 || limit != "hour") {
				t.Errorf("step %d: %v, %q", i, wait, limit)
			}
		}
		if err := <-refused; strings.Count(err.Error(), step.want.String()) != 2 || !strings.Contains(err.Error(), "message") {
			t.Errorf("step %d: the handler received %v", i, err)
		}
		cancel()
	}
	s, err := say(as("c"), c, bothTalk, "x")
	if err == nil {
		_, err = hear(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := <-refused; !errors.Is(err, io.EOF) {
		t.Errorf("the handler received %v at the end", err)
	}
	s, err = say(as("a"), c, serverTalks, "x") // its only message
	if err == nil {
		_, err = hear(s)
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one request: %v", err)
	}
}

func TestLimiterBadInput(t *testing.T) {
	_, err := concordgrpc.NewLimiter(nil, nil, &concordgrpc.LimitOptions{Shared: strings.Repeat("x", 513)})
	for _, field := range []string{"limits", "by", "Shared"} {
		if err == nil || !strings.Contains(err.Error(), field+" must") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
