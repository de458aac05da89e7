// Package fence protects a resource from a holder that does not know it has lost its lock.
//
// # The problem
//
// A lock with a time limit cannot stop its holder. A process is paused (garbage collection, a
// suspended machine, a stuck disk), its lock expires, another process takes over and writes, and
// then the first one wakes up in the middle of its own write. No lock service prevents this: at
// the moment of the write, nobody asks the service.
//
// # The cure
//
// Every exclusive grant carries a [Token], larger than that of every earlier grant of the same
// resource. The resource itself remembers the highest token it has seen, its mark, and refuses
// anything lower. The late write is then an error ([ErrFenced]) and not a lost update.
//
// Refusing low tokens is not enough by itself: until the new holder has written for the first
// time the resource does not know of it, and the old holder could still change what the new one
// has just read. So the order of work is
//
//  1. raise the mark to the new token,
//  2. read,
//  3. write, with check and write in one atomic step.
//
// [Marks] is the small port for step 1. Step 3 depends on the resource and is a concrete verb of
// the backend that keeps the data: a guarded write on Redis, a guarded transaction on
// etcd, a function under the mark's lock in memory.
//
// # What this package does not promise
//
//   - A mark protects only what is written through it. One unguarded writer is enough to lose an update.
//   - A mark must live as long as the data and fail together with it. A mark on Redis does not
//     protect rows in a database: after a restore of either, the two no longer agree.
//   - An equal token is accepted, because one holder makes many writes. A write that is sent twice
//     is applied twice.
//   - Tokens of two issuers do not compare. Whoever moves locks from one engine to another, or
//     restores the engine from an old snapshot, raises the epoch (see [MakeToken]).
//
// The idea goes back to the sequencer of the Chubby lock service (Burrows, OSDI 2006, section
// 2.4); the pattern of the paused writer is M. Kleppmann's "How to do distributed locking" (2016).
package fence
