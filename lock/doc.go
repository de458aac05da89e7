// Package lock gives mutual exclusion between processes: locks with a time limit, kept alive in
// the background, with a fencing token for every grant.
//
//	locks, err := lock.New(be.Leases(), nil) // be is a backend: memory, Redis, …
//	…
//	err = locks.Do(ctx, "orders/42", func(ctx context.Context, l *lock.Lease) error {
//		return save(ctx, order, l.Token()) // the store refuses a token lower than one it has seen
//	})
//
// # What a lease is
//
// [Locker.Acquire] waits in line and returns a [Lease]. The lease is renewed until it is released.
// When it cannot be, because the engine is out of reach, somebody revoked it, or the process was
// paused for too long, the lease is lost: [Lease.Context] ends, before the engine lets anybody
// else in, and its cause says why ([LostError]). Work under the lock takes that context.
//
// Waiting is first come, first served between processes, and between the goroutines of each; a
// process has one place in line at a time, however many of its goroutines wait. A release hands the
// lock to the next in line in the same step, so a hand-off costs one request to release
// and one that the next waiter had sent before, however many wait.
//
// # Kinds of lock
//
//   - [Locker]: one holder, with a token. [Locker.AcquireAll] takes several keys at once, all or none,
//     without deadlock.
//   - [RWLocker]: many readers or one writer. Only the writer has a token.
//   - [Semaphore]: weights up to a limit that can be changed while it runs. Its shares have no token.
//
// All of them keep the same order: nobody is overtaken by who came later, not even a heavy claim
// by light ones. A key belongs to one kind at a time.
//
// A holder that does not give up can be limited by Options.MaxHold, and asked or made to leave by
// Revoke. With Options.LockDelay the key stays blocked for a while after a holder ended without
// saying that its work is over: for resources that can check no token.
//
// # Three outcomes
//
// An operation over a network ends in one of three ways: yes, no, or nobody knows. The third is
// [ErrUncertain]. It is safe to carry on: whatever the unanswered request left behind, or may
// still do when it arrives late, is undone in the background.
//
// # What it does not promise
//
// No lock service can guarantee that two processes are never in the critical section at the same
// time. A process can be paused between looking at its lease and writing; an engine can lose data
// or have its clock changed. If that would harm you, check the token at the resource (package
// fence): that turns the late write into an error. If it would merely waste work, the lock alone
// is enough.
//
//   - It is not reentrant: a goroutine that acquires a key it holds waits for itself.
//   - A reader cannot become the writer: two that tried would wait for each other.
//   - Shares of a limit carry no token: a resource cannot tell a late one from a good one.
//   - Fairness holds among live, connected waiters; one that is silent for a TTL loses its place.
//   - A holder that dies blocks its key for the rest of the TTL. A short TTL frees it sooner and
//     forgives less: renewals are sent every third of it.
//   - Tokens of one key are ordered. Tokens of different keys are not.
//
// What each engine adds to this list is said in its package and in docs/guarantees.md.
//
// # When a lock is the wrong tool
//
// If one row of one database is all you guard, use its transactions. If work must happen once,
// give it an idempotency key. If it is only to be spread, use a queue.
package lock
