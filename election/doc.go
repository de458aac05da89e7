// Package election lets one of several replicas lead: it holds a term, renewed in the background,
// until it resigns, is replaced in good order, or is lost.
//
//	el, err := election.New(be.Leases(), "billing", election.Candidate{ID: "pod-7", Addr: "10.0.0.7:80"}, nil)
//	…
//	err = el.Run(ctx, func(ctx context.Context, term election.Term) error {
//		return bill(ctx, term) // stop when ctx ends; writes carry the term
//	})
//
// # What a term is
//
// [Election.Run] stands for election, leads, and stands again when it has lost. A term is the time
// of one leader, and its number, the fencing token of the claim, is larger than that of every term
// before. Nobody is a leader without a live claim of its own. The context of the term ends before
// the engine lets anybody else lead, and its cause is a [*LostError].
//
// Who waits is next in the order of arrival, those of higher priority first. Leaving hands the term
// over in the same step: a leader that stops in good order leaves no gap. One that dies is followed
// when its TTL has passed.
//
// # Leaving in good order
//
// When a term is to end while its claim is still good, because ctx has ended, the candidate has
// become sick, or one of higher priority waits, the context of the term ends at once and the claim
// is kept until the callback has returned, at most for Options.Drain. So the next leader begins when
// the work of this one is over.
//
// A candidate with Options.Healthy does not stand while it is sick, and steps down when it becomes
// so, also if the engine can be reached.
//
// # Looking on
//
// [Election.Leader] and [Election.Observe] need no candidacy. Observe reports every term in order, the
// times without a leader, and where it may have missed something; it never falls silent without
// saying so.
//
// # What it does not promise
//
// Two leaders at the same time cannot be excluded in a network with delays and processes with pauses:
// a leader may be paused between looking at its context and writing. Let what it writes to check the
// term (package fence). What each engine keeps when it loses data is said in docs/guarantees.md.
//
// Strict priority may keep those of low priority from ever leading. Preemption is a request: a leader
// that does not listen keeps its term until Drain is over on its side or its TTL ends.
//
// # When it is the wrong tool
//
// If every replica may do the work and only one at a time, use a lock. If the work is to be spread,
// use membership and a ring.
package election
