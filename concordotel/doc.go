// Package concordotel turns what the primitives report into spans and metrics of OpenTelemetry.
//
//	observed, err := concordotel.Lock(nil) // the global providers
//	…
//	locks, err := lock.New(be.Leases(), &lock.Options{Hooks: lock.JoinHooks(observed, lock.LogHooks(nil))})
//
//	billing, err := concordotel.Election(&concordotel.Options{Name: "billing"})
//	replicas, err := concordotel.Membership(&concordotel.Options{Name: "api"})
//	calls, err := concordotel.RateLimit(&concordotel.Options{Name: "public"})
//	attempts, err := concordotel.Retry(&concordotel.Options{Name: "payments"})
//	trips, err := concordotel.Breaker(&concordotel.Options{Name: "payments"})
//	marks, err := concordotel.Marks(be.Fences(), nil)
//
// Whatever is given hooks of its own does not log any more; the JoinHooks above, which each package
// has, keeps the log, which is where keys and errors can be read.
//
// The list of spans, metrics and attributes is in docs/operations.md of the repository. A test
// compares it with what is exported.
//
// # What is never exported
//
// Keys, resource names, names of elections, groups, Retriers and breakers, candidates, members, owners,
// addresses, zones, metadata, tokens, terms and the texts of errors. There may be millions of them, each would be a
// series of its own for ever, and they may say things about people. Every attribute has a few values
// that are known in advance. A token is left out of spans too: it tells little without its key, and
// the log has both.
//
// Options.Name is what the program chooses to export instead, to tell one election, group, limiter,
// Retrier, breaker or use of locks from another. The names of the limits of a policy are exported: they are
// the program's constants. [BreakerKeys] exports what the program makes of the keys of a group of breakers.
//
// # Spans
//
// An acquire is a span, from the call to its answer, as a child of the span of its context. The
// context of a lease has the values of the acquire's, so a span that is begun with
// [lock.Lease.Context] is a child of the acquire, although that has ended. Do gives its function
// the context of the caller. A release is an event of the span of its own context.
//
// A refusal, such as a key that is held, is an answer: its span is not marked as an error.
//
// Attempts and rejections by a breaker are events of the span of the caller.
//
// # What it does not do
//
//   - It sets up no provider and exports nothing by itself; the program does. The package depends on
//     the API of OpenTelemetry and not on its SDK.
//   - What happens in the background (renewals, losses, clean-ups, elections, memberships) has no
//     context of a caller, so it is counted and not traced.
//   - It does not see what the engine's client does. Most clients have instrumentation of their own.
//   - It measures one process. How long a key stayed free between two holders is not seen by either.
package concordotel
