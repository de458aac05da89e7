// Package concord is the front page of a library of distributed-systems primitives. It holds
// documentation only; the code is in the packages below it.
//
// What exists today is a lock between processes with fencing tokens, on three engines: the memory
// of one process, a single Redis server and etcd.
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
//	lock                    one holder per key, first come first served, with a token for each grant
//	fence                   what a token is, and how a resource refuses the token of an earlier holder
//	backend/memorybackend   the engine for one process and for tests, with faults on request
//	backend/redisbackend    the engine on one Redis server, with guarded writes
//	backend/etcdbackend     the engine on an etcd cluster, with guarded transactions
//
// For authors of backends:
//
//	lease                   the port under lock: claims that are queued, granted, renewed and lost
//	backend/backendtest     the conformance suites, one function a port
//
// A primitive is a concrete type that works on a port, a small interface of its own verbs. A
// backend implements the ports on one engine. The two meet in one line of a program, as above, so
// changing the engine changes that line.
//
// # What works where
//
//	                     memory   Redis, single server             etcd
//	lock                 yes      yes                              yes
//	fence: marks         yes      yes                              yes
//	fence: guards        yes      yes: SET, HSET and scripts       yes: transactions
//
// Redis Cluster and Redis Sentinel are not built yet. redisbackend refuses the clients of a
// cluster, and its Check reports an error for those of Sentinel.
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
