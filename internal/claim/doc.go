// Package claim is what lock, election and membership have in common: the life of one claim, from
// the first request to the last renewal, on any lease.Backend.
//
// A [Keeper] asks for claims, waits in line, renews what is held, notices every way a hold can be
// lost and cleans up what an unanswered request may have left behind. A [Hold] is one held claim.
//
// Its rules about time are the ones that make a lock safe to believe in, and they stand in
// timing.go: a deadline counts from before the request was sent, on the monotonic clock, less a
// drift and a margin; a timer of its own enforces it, so no call that hangs can delay it.
package claim
