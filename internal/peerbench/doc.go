// Package peerbench has no code: its benchmarks compare package lock with other libraries.
//
// On Redis the others are rueidislock, which is told of a release by client-side caching, and
// redislock, which polls: it waits only if told how, and is told the 100 ms of its own example. On
// etcd it is the mutex of the etcd client. All get one server, locks of about the same TTL
// (rueidislock and the mutex renew theirs as Concord does, redislock does not), a client for each waiter
// as if it were a process, and no work under the lock. The bare pair is two requests that only set
// and delete a key: a limit and not a peer.
//
// The contenders take turns within one benchmark, because the machine's speed changes between two.
// So allocs/op and ns/op, which are of all of them together, say nothing; what counts is
//
//   - x-NAME, how many times NAME's rate Concord has in the same run: above 1 Concord is faster;
//   - NAME-hand-offs/s, grants per second to another waiter than the one that had it last;
//   - NAME-grants/s, all grants per second, with those to the waiter that has just released;
//   - NAME-wins-max/min, the wins of the luckiest waiter over those of the unluckiest;
//   - NAME-requests/hand-off, what the server was asked, where it counts that;
//   - NAME-ns/pair and NAME-allocs/pair of an acquire and a release without competition.
//
// The rates say nothing of what a lock promises. Concord and the etcd mutex serve waiters in the order in
// which they came. The others serve whoever asks at the right moment, which is often the one that has
// just released: that makes many grants and few hand-offs. Concord gives every grant a fencing token,
// etcd a revision that can serve as one, the others nothing. Neither is switched off in Concord, since
// neither can be. What is not compared: quorums of several Redis servers, long holds, dead holders,
// slow networks.
//
// A turn ends after a number of hand-offs, or after a second, so wins-max/min is coarse for those that
// are slow. BenchmarkHandOff fails when two contenders are inside of a lock at once.
package peerbench
