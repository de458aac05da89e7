// Package membership tells which replicas of a service are there: each joins a group under its ID, is
// renewed in the background, and is gone when it leaves or stops renewing. Whoever looks sees all
// members, and then every change.
//
//	group, err := membership.New(be.Leases(), "api", nil)
//	…
//	me, err := group.Join(ctx, membership.Member{ID: "pod-7", Addr: "10.0.0.7:80", Weight: 1})
//	…
//	defer me.Leave(ctx)
//	for view, err := range group.Watch(ctx) {
//		… // view.Members, and what has changed
//	}
//
// # Being a member
//
// [Group.Join] returns when others see the member. From then on it is there until [Registration.Leave]:
// if it is lost, because the engine was out of reach for longer than the TTL or has lost its data, it
// joins again by itself as soon as it can, and Hooks tell of both. It stays away for good only when
// somebody ended it from outside, or when another member has taken its ID meanwhile.
//
// To go in good order: Leave, go on serving for a moment until others have heard of it, then stop. A
// client that keeps connections should drop the idle ones to a member that has left
// (http.Client.CloseIdleConnections), or the member's server may wait for them.
//
// # Looking on
//
// [Group.Members] reads the group once. [Group.Watch] follows it: the whole group first, then a view
// after each change, with what is different; it notices what it has missed and reads it anew. A
// [Picker] spreads calls over the members that are there. Package concordgrpc has a resolver for
// gRPC clients.
//
// # What it does not promise
//
// A member that is seen may be dead: for up to its TTL after a crash, and for as long as a push takes
// after it left. A member that is not seen may be alive: cut off from the engine, not from you. So a
// call to a member may fail, and a group must never decide who may write; that is what locks,
// elections and fences are for. Two watchers may see changes at different times, and none sees all
// changes one by one. What each engine keeps when it loses data is said in docs/guarantees.md.
//
// # When it is the wrong tool
//
// If the platform knows your replicas (a service of Kubernetes, a load balancer) and you need nothing
// more, use that. A group of many thousands that changes all the time is too much for one key of an
// engine: split it.
package membership
