package concordgrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/membership"
)

// Two servers join a group, and a client finds both.
func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil), in each process
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	group, err := membership.New(be.Leases(), "health", &membership.Options{Hooks: &membership.Hooks{}})
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close(ctx)

	defer serve(ctx, group, "pod-1")()
	defer serve(ctx, group, "pod-2")()

	resolver, err := concordgrpc.NewResolver(group, &concordgrpc.ResolverOptions{Hooks: &concordgrpc.Hooks{
		Resolved: func(i concordgrpc.Info) { fmt.Println("servers:", i.Addresses) },
	}})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient("concord:///health", grpc.WithResolvers(resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.GetStatus())
	// Output:
	// servers: 2
	// SERVING
}

// serve starts a server and has it join. stop ends it in good order.
func serve(ctx context.Context, group *membership.Group, id string) (stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
	me, err := group.Join(ctx, membership.Member{ID: id, Addr: listener.Addr().String(), Weight: 1})
	if err != nil {
		log.Fatal(err)
	}
	return func() {
		if err := me.Leave(ctx); err != nil {
			log.Print(err) // it ends with its TTL
		}
		server.GracefulStop()
	}
}
