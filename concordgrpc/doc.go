// Package concordgrpc has Concord for gRPC: a resolver by which clients find the members of a group of package
// membership, and interceptors for limits, attempts and breakers.
//
// # Members
//
// The server joins when it serves, and leaves before it stops:
//
//	group, err := membership.New(be.Leases(), "api", nil)
//	…
//	go server.Serve(listener)
//	me, err := group.Join(ctx, membership.Member{ID: "pod-7", Addr: "10.0.0.7:443", Weight: 1})
//	…
//	me.Leave(ctx)            // clients hear of it in milliseconds
//	time.Sleep(time.Second)  // those that are slow
//	server.GracefulStop()    // calls under way end well
//
// The client:
//
//	resolver, err := concordgrpc.NewResolver(group, nil)
//	…
//	conn, err := grpc.NewClient("concord:///api.example.com", grpc.WithResolvers(resolver), creds)
//	…
//	defer conn.Close() // before group.Close
//
// Nothing is registered globally: the resolver counts in the clients it is given to, and its group is
// the one it was made with. What stands after concord:/// is not looked up. It is, as always in gRPC,
// the :authority of the calls, and the name that the certificates of all members must have.
//
// # What a client sees
//
//	before the first view       calls wait for it, as long as their contexts let them
//	members join                they are connected to, and called when the connection stands
//	a member leaves             it gets no new calls, and its connection closes when the old ones end
//	a member crashes            its connection breaks: calls under way fail, new ones go elsewhere; the
//	                            client tries to reach it until its TTL is over
//	a member is described anew  connections stay
//	the group is empty          calls fail with UNAVAILABLE at once (round_robin then says "no children to
//	                            pick from"), and those with WaitForReady wait
//	the engine does not answer  nothing changes, as long as that lasts
//	the engine lost its data    members stay until they have joined again, see [membership.Group.Watch]
//	the group is closed         the client goes on with the addresses it has
//
// A member without Addr is left out, and an address that several members have counts once. Addr is
// what gRPC can dial: host:port, or unix:///path.
//
// # How calls are spread
//
// Clients get the addresses with a service config that chooses round_robin; ResolverOptions has others.
// round_robin heeds no weights. gRPC's ring_hash does, as well as pick_first with shuffleAddressList;
// both find [membership.Member] Weight in the endpoints. weighted_round_robin goes by what the servers
// report of their load instead. A balancer of your own reads all of the member with [MemberOf].
//
// # Limits
//
// A [Limiter] makes interceptors for servers of a limit of package ratelimit: who is over it is refused
// with RESOURCE_EXHAUSTED, and told when to come again.
//
// # Attempts and breakers
//
// A [Retry] makes further attempts at calls that failed, for the methods that the program names as
// idempotent; a [Breaker] stops calls to a target that fails. Both are interceptors of a client:
//
//	attempts, err := concordgrpc.NewRetry(retrier, isRead, nil)
//	breaks, err := concordgrpc.NewBreaker(group, nil)
//	…
//	conn, err := grpc.NewClient(target, creds,
//		grpc.WithChainUnaryInterceptor(attempts.Unary, breaks.Unary),
//		grpc.WithChainStreamInterceptor(breaks.Stream))
//
// In this order the breaker counts every attempt, and a rejection is an attempt that was not sent: it costs
// budget, and the next one waits until the breaker tries again, or the call fails at once if its deadline is
// before that. In the other order the breaker counts one outcome for each call, after all its attempts,
// and a rejection ends the call. The first opens sooner and is what one normally wants.
//
// gRPC's own retryPolicy makes attempts below all interceptors; a Breaker sees one call of it, and a Retry
// multiplies it.
//
// A server has no breaker: it would refuse all clients for the calls of one. What a server depends on has one
// where it is called, and against too many calls there are limits.
//
// # Streams
//
// A Breaker judges a stream by its beginning, see [Breaker.Stream]. A Limiter counts it when it begins, and
// the messages in it if LimitOptions.MessageCost says so.
//
// A Retry has no interceptor of streams: what was sent and received cannot be taken back, and only the
// program knows where to go on. Up to the first answer gRPC does what an interceptor could. What has
// surely not reached the server it sends again unasked; with a retryPolicy it sends again what it has in its
// buffer; with grpc.WaitForReady a stream waits for a connection. After the first answer the program goes
// on where it was, with [Retry.Do]:
//
//	err := attempts.Do(ctx, func(ctx context.Context) error {
//		stream, err := client.List(ctx, &pb.ListRequest{After: last})
//		if err != nil {
//			return err
//		}
//		for {
//			item, err := stream.Recv()
//			if err == io.EOF {
//				return nil
//			}
//			if err != nil {
//				return err
//			}
//			last = item.GetName()
//			…
//		}
//	})
//
// # What it does not promise
//
// A call may reach a member that has died or has left, and one that has left the group may still be
// alive; see package membership. A call that was under way when its server died fails, and gRPC sends
// it again only if the service config says so (retryPolicy); do that for calls that may run twice.
// If a machine dies or a network is cut, no connection breaks: calls to that member last until their
// deadlines, and new ones go there until its TTL is over. Deadlines help, and so does
// grpc.WithKeepaliveParams.
//
// Two clients may know different members for a moment, so this decides nothing about who may do what:
// locks, elections and fences do.
//
// The resolver does not check members: whoever may write to the engine can name any address. Mutual TLS
// tells who answers.
//
// Where the environment names an HTTP proxy (HTTPS_PROXY), gRPC goes through it also to members, and as
// of version 1.85 takes all of them for one, since they have the proxy's address. Members are normally
// reached directly: grpc.WithNoProxy.
//
// The API of gRPC that this package implements is marked experimental by gRPC.
package concordgrpc
