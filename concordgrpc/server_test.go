package concordgrpc_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// listen starts a server that is no member of anything, and returns its address. It has the health service.
func listen(t *testing.T, o ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(o...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // by the test, before it began
			t.Error(err)
		}
	})
	return server, listener.Addr().String()
}

func dial(t *testing.T, target string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	c, err := grpc.NewClient(target, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // some tests have closed it
	return c
}

// talk is the method of all streams that a test serves itself, with these kinds of streams and messages.
const talk = "/test.Streams/Talk"

var (
	bothTalk    = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	serverTalks = &grpc.StreamDesc{ServerStreams: true}
	clientTalks = &grpc.StreamDesc{ClientStreams: true}
)

func word(s string) *healthpb.HealthCheckRequest { return &healthpb.HealthCheckRequest{Service: s} }

// talks serves streams.
func talks(handle func(grpc.ServerStream) error) grpc.ServerOption {
	return grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return handle(s) })
}

// hear returns the next word of a stream.
func hear(s interface{ RecvMsg(any) error }) (string, error) {
	var w healthpb.HealthCheckRequest
	err := s.RecvMsg(&w)
	return w.GetService(), err
}

// say opens a stream and sends the words. More may be sent if bothTalk or clientTalks.
func say(ctx context.Context, c *grpc.ClientConn, d *grpc.StreamDesc, words ...string) (grpc.ClientStream, error) {
	s, err := c.NewStream(ctx, d, talk)
	for i := 0; err == nil && i < len(words); i++ {
		err = s.SendMsg(word(words[i]))
	}
	if err == nil && d == serverTalks {
		err = s.CloseSend()
	}
	return s, err
}
