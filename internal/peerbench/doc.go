// Package peerbench has no code: its benchmarks compare Concord with other libraries.
//
// # Locks and elections
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
//   - NAME-ns/pair and NAME-allocs/pair of an acquire and a release without competition;
//   - NAME-ns/hand-over, from the resignation of a leader to the next one, while all others wait.
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
//
// # Limits that processes share
//
// BenchmarkSharedLimit compares decisions about limits on Redis with redis_rate, whose decision is one
// script too: in floating point, of one limit, without a bound in time and without noticing that a context
// is cancelled. Concord is there as it is, with requests that calls share, and with allowances. The units are
// those of a turn: NAME-decisions/s of all goroutines, NAME-ns/decision as one of them sees it, and
// NAME-x-redis_rate, NAME's rate over that of redis_rate.
//
// # What surrounds a call
//
// BenchmarkRetry, BenchmarkBreaker and BenchmarkRateLimit need no server. They compare what it costs to
// surround a call that does nothing: with further attempts that are not needed, with a breaker, with a
// limit. Again there are turns, from one goroutine and from eight. Of the turns of each the fastest counts,
// and what it is to be compared with above all is clock-ns/call, one reading of the monotonic clock:
// who judges by time cannot be below it. With eight goroutines a figure is the time over all calls, so
// with two cores it can be half of that with one.
//
//   - retry: failsafe-go, backoff of cenkalti, retry-go of avast, go-retry of sethvargo, as their
//     documentation says for a call with a context. avast is also there with one retrier for all
//     calls, which cannot be given the context of each. Of them only failsafe-go can have a budget,
//     and here has none; Concord has its default.
//   - breaker: gobreaker with a fixed window and with one in buckets, failsafe-go with a window in time.
//     Neither judges how long calls take, so BenchmarkBreaker/slow has no peer.
//   - ratelimit: x/time/rate, which keeps one limit of one process. "allowance" is an engine that has to
//     be asked, with a block that was taken ahead; filling it is not in the fastest turn.
package peerbench
