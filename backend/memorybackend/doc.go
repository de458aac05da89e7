// Package memorybackend keeps leases and fencing marks in the memory of one process.
//
// It has three uses. It is the engine for a program that runs as a single process and wants the
// same locks, elections and memberships it would have on a server. It is what tests run on: fast,
// exact under testing/synctest, and with a [Control] that makes claims expire, answers vanish and
// events get lost on request, so that a program's loss paths can be tested like any other code. And
// it is the reference of the ports: package lease says what an engine must do, and this package
// does it in the plainest way.
//
//	be, err := memorybackend.New(nil)
//	...
//	locks, err := lock.New(be.Leases(), nil)
//
// A [Backend] plays the server. Everything made from one Backend shares its keys; two Backends
// know nothing of each other. A test of several processes gives each "process" its own locker on
// the same Backend.
//
// # Fencing
//
// [Backend.Guard] models the resource that a lock protects: [Guard.Do] runs a function if its
// token is not lower than any the resource has seen, and nothing else touches the resource
// meanwhile. Guard and [Backend.Fences] work on the same marks.
//
// # What it does not promise
//
//   - Nothing outside this process sees its claims. Two replicas of a program, each with a memory
//     backend, both get the lock.
//   - Nothing survives a restart: neither claims nor marks. Tokens count microseconds since 1970,
//     so they keep rising over a restart unless the clock was set back.
//   - Time is that of this process. A process that is suspended finds its claims ended, or not,
//     as its monotonic clock counts suspension or not; nobody else could have taken them.
//   - An expired claim is noticed when the next verb looks at its key, as on a server that keeps no
//     timer per key. Waiting claims look at every heartbeat.
//   - Marks are kept until the Backend is dropped: one small entry for each resource ever raised.
//     Claims and keys go when they end.
package memorybackend
