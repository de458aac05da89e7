package concordgrpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/ratelimit"
)

// limited starts a server whose calls are limited, and returns a client of it.
func limited(t *testing.T, be *memorybackend.Backend, by concordgrpc.KeyFunc, o *concordgrpc.LimitOptions, limit ratelimit.Limit) healthpb.HealthClient {
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(l.Unary), grpc.StreamInterceptor(l.Stream))
	healthpb.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return healthpb.NewHealthClient(conn)
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
	c := limited(t, be, concordgrpc.ByMetadata("X-Key"), nil, hour)
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
	c := limited(t, store(t), by, &concordgrpc.LimitOptions{Cost: cost, Shared: "shared"}, hour)
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

func TestLimiterBadInput(t *testing.T) {
	_, err := concordgrpc.NewLimiter(nil, nil, &concordgrpc.LimitOptions{Shared: strings.Repeat("x", 513)})
	for _, field := range []string{"limits", "by", "Shared"} {
		if err == nil || !strings.Contains(err.Error(), field+" must") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
