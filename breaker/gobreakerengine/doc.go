// Package gobreakerengine lets [gobreaker] decide in a breaker, for programs that have settings for it
// which they know.
//
//	br, err := breaker.New("payments", &breaker.Options{
//		Engine: gobreakerengine.New(gobreaker.Settings{Timeout: 10 * time.Second}, nil),
//	})
//
// Context, classification of errors, modes, groups, hooks and errors are those of package breaker. Three
// things that would go wrong with gobreaker alone do not: hooks are called outside its lock, so they
// may call the breaker; a probe that never reports gives its place back after Options.ProbeTimeout;
// a caller that has cancelled is not counted.
//
// # What is different from the engine of package breaker
//
//   - By default it opens after more than 5 failures in a row, however many calls there are, and with an
//     Interval of 0 it never forgets; Settings.ReadyToTrip judges otherwise.
//   - A failed probe opens it again at once; MaxRequests probes in a row must go well.
//   - It stays open for Settings.Timeout each time: no growth, no jitter. It closes at once: no ramp.
//   - Calls are not judged by their time.
//   - Each call takes a mutex twice and makes three allocations or so.
//   - State looks at the clock: a breaker whose time is over is half-open before the next call.
//   - Hooks are not told Reason, Counts, Number and OpenFor of a change.
//   - Voter is not supported.
//
// Only the breaker for one process is used. The one with shared state that gobreaker has loses updates and
// holds a lock while the program's call runs.
//
// [gobreaker]: https://github.com/sony/gobreaker
package gobreakerengine
