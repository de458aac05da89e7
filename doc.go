// Package concord is the front page of a library of distributed-systems primitives. It holds
// documentation only; the code is in the packages below it.
//
// What exists today are locks between processes with fencing tokens, guards that check the tokens
// where the data is, leader election, membership of groups, and rate limits; in the memory of one
// process, on Redis (single, Sentinel, Cluster) and on etcd.
//
//	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "shop"}) // the client stays yours
//	…
//	locks, err := lock.New(be.Leases(), nil)
//	…
//	err = locks.Do(ctx, "orders/42", func(ctx context.Context, l *lock.Lease) error {
//		return be.Guard().Set(ctx, "orders:42", l.Token(), "paid", 0)
//	})
//
// # The map
//
// For programs:
//
//	lock                    locks, readers and writers, semaphores, several keys at once
//	election                one leader among replicas, handed over in good order, and observed
//	membership              replicas that join a group, and clients that follow it and balance over it
//	ratelimit               how often something may be done, exactly, with one answer for all processes
//	retry                   further attempts at calls, within a budget, and hedges
//	breaker                 a stop to calls to what fails
//	fence                   what a token is, and how a resource refuses the token of an earlier holder
//	concordhttp             tokens, limits, attempts and breakers over HTTP: transports and middleware
//	concordgrpc             a resolver for the members of a group, and interceptors for limits, attempts, breakers
//	concordotel             OpenTelemetry spans and metrics of all that
//	backend/memorybackend   the engine for one process and for tests, with faults on request
//	backend/redisbackend    the engine on Redis, with guarded writes
//	backend/etcdbackend     the engine on an etcd cluster, with guarded transactions
//	backend/sqlbackend      guarded transactions on PostgreSQL, MariaDB, MySQL and SQLite
//	backend/check           what a backend finds out about its engine at the start
//
// For authors of backends:
//
//	lease                   the port under locks, elections and groups: claims that are queued, granted, lost
//	backend/backendtest     the conformance suites, one function a port
//
// A primitive is a concrete type that works on a port, a small interface of its own verbs. A
// backend implements the ports on one engine. The two meet in one line of a program, as above, so
// changing the engine changes that line.
//
// # What works where
//
//	                        memory      Redis                      etcd            SQL
//	lock: Locker            yes         yes                        yes             -
//	lock: RWLocker          yes         yes                        yes             -
//	lock: Semaphore         yes         yes                        yes             -
//	lock: AcquireAll        yes         yes                        yes             -
//	lock: LockDelay         yes         yes                        yes             -
//	election                yes         yes                        yes             -
//	membership              yes         yes                        yes             -
//	ratelimit               yes         yes                        by allowances   -
//	fence: marks            yes         yes                        yes             yes
//	fence: guards           a function  SET, HSET and scripts      a transaction   a transaction
//
// # What is guaranteed
//
// No lock service can guarantee that two holders never overlap: messages take any time, and a
// process can be paused between looking at its lease and writing. So every grant carries a token
// larger than that of the grant before, and a resource that checks tokens turns the late write of
// an earlier holder into an error. Where an overlap would harm you, fence; where it would only
// waste work, the lock is enough.
//
// Each package says what it does not promise. The page docs/guarantees.md of the repository lists,
// for each set-up of each engine, the exact promise, its limits and the test that shows it. The
// reasons behind the design are in docs/design.md, running it in docs/operations.md, and the words
// in docs/glossary.md.
package concord
