// Package lease is the port under lock, election and membership: what an engine must be able to
// do so that claims with a time limit can be queued, granted, renewed, handed on and lost.
//
// Applications do not need it; they meet package lock. It is for authors of backends, who
// implement [Backend] and prove it with the suite backendtest.Leases. The memory backend is the
// reference.
//
// # The model
//
// A key has a limit and a list of claims. A claim has a weight and is in one of two states:
// waiting in the queue, or seated. One rule decides all:
//
//	a claim is granted when the weights of all earlier claims, waiting ones included,
//	plus its own are at most the limit
//
// Weight 1 of limit 1 is a lock. A writer takes the whole limit and a reader 1. A semaphore is any
// other weight. Limit 0 means no limit: membership. Nobody overtakes the head of the queue, so a
// heavy claim is not starved by light ones.
//
// Each claim is named by its [Attempt], made once per wish and kept through every re-send. All
// verbs are idempotent by attempt: they may be executed again, late and out of order, and answer
// what is true now.
//
// # Time
//
// A seated claim is valid until its TTL has passed on the engine's clock since the last renewal.
// Validity that has ended never comes back. A waiting claim is alive for one TTL since it was last
// heard of; dead ones lose their place. Answers carry durations measured by the engine, never
// instants of its clock. The caller counts them from before it sent the request, so a slow answer
// shortens what it believes and never lengthens it.
//
// A release grants to the next waiter in the same step and pushes the grant to it. Such a grant
// is short (the claim window) until its owner has shown by a first renewal that it is there.
//
// # What the port does not promise
//
// Exclusion holds while the engine keeps its data and its clock does not step. Beyond that only
// the order of tokens is kept, so a resource that must not be harmed checks them (package fence).
// Nothing is promised for a process that is paused in the middle of its own code.
package lease
