// Package breaker stops calls to something that fails: callers get an answer at once instead of waiting
// for an error, and what has failed gets the quiet that it needs to come back.
//
//	br, err := breaker.New("payments", nil)
//	…
//	receipt, err := breaker.Do(ctx, br, func(ctx context.Context) (Receipt, error) {
//		return charge(ctx, order)
//	})
//	if errors.Is(err, breaker.ErrRejected) {
//		… // charge was not called
//	}
//
// # How it decides
//
// A breaker is closed at first and lets every call through. It opens when, of the calls in its window,
// the share that failed reaches a rate, or the share that was slow does, if that is judged; but never
// by fewer calls than a minimum, and never by a call that went well. Open, it rejects calls with a
// [*RejectedError], which says how long to wait. After that time, which grows while things do not get
// better, it is half-open: a few calls are let through to try, the probes, and the others are rejected.
// By the same rates they close it or open it again. With Options.Ramp it closes by degrees, so that all
// callers do not return in one moment.
//
// A call that its caller has cancelled is not counted, and neither is one whose context had ended
// before it began. A panic counts as a failure. What a call reports after the state has changed is
// late, and changes nothing.
//
// The place of a probe has a deadline: a probe that hangs, or whose outcome nobody reports, keeps the breaker
// half-open no longer than that.
//
// # Keys, modes, other engines
//
// One breaker before many hosts or shards stops the calls to all when one of them fails: a [Group] has
// one for each key. An operator can force a breaker open or closed, or let it observe only. Package
// gobreakerengine puts gobreaker in the place of the engine of this package. A [Voter] is the seam for
// fleets that decide together.
//
// # What it does not promise
//
//   - It bounds no calls that are under way: between the start of an outage and the failure of the first calls all
//     others are let through.
//   - A breaker knows what this process has seen. Little traffic is little knowledge: below MinCalls it never opens.
//   - The window moves in steps, and with several goroutines a few calls may be let through by a state that has just
//     ended, or be counted in the slot beside their own.
//   - Nothing happens without calls: there is no timer, and an open breaker stays so until it is asked.
//   - While a machine is suspended its times stand still.
//
// # When it is the wrong tool
//
// If calls fail because there are too many, limit them (package ratelimit). If single calls fail,
// repeat them (package retry, whose budget keeps repeats from making an outage worse). Together, the
// attempts normally go around the breaker, which then counts each of them; a breaker around the attempts
// counts a call once, after the last, and opens later. If there is nothing better to do than to wait, a
// breaker only changes the error.
//
// The pattern is M. Nygard's (Release It!, 2007).
package breaker
