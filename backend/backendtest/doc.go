// Package backendtest is the conformance suite for authors of backends: one function a port.
// A backend that passes keeps the promises which lock, election, membership, the guards and the rate
// limits build on.
//
//	func TestLeases(t *testing.T) {
//		backendtest.Leases(t, func(t *testing.T) lease.Backend {
//			be, err := mybackend.New(client, &mybackend.Options{Prefix: fresh(t)})
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { be.Close(context.Background()) })
//			return be.Leases()
//		})
//	}
//
// Each case is a subtest of its own, named after the promise it checks, on a fresh and empty
// namespace. To run one of them: go test -run 'TestLeases/queue/a_dead_waiter'.
//
// # What the suite expects
//
// A healthy engine that nobody else burdens, and calls that are answered within 10 s. Time is
// real. Cases that wait for something to lapse use the shortest TTL the engine can keep and run
// in parallel with each other; the others use TTLs that cannot run out. An upper bound on time is
// always generous; a lower bound ("not granted before the end of the one before") is exact up to
// the rounding of the engine's clock. So a failure is a broken promise and not a slow machine.
//
// Events are a hint. A case expects one only after the engine has answered a claim on the same key
// with Pushed; an engine that never does so is not asked for any.
//
// A case about an optional part is skipped, with a line that says so, when [lease.Capabilities]
// lacks that part. Another case checks that the engine then refuses it properly.
//
// One case of leases and one of limits compare a random list of operations with a model. They log their
// seed; set BACKENDTEST_SEED to repeat it.
//
// # Tools
//
// [Passed] holds what was let through, by however many processes, against what a limit promises for any
// time. [LimitOracle] says what a policy must decide at any instant; it is for engines that decide where
// [ratelimit.Policy.Decide] cannot be called, and whose clock can be set.
//
// # What it does not check
//
// Faults: lost and late messages, engine restarts, fail-over, clocks that step. A backend needs
// its own tests for these. All claims go through one backend object, so a hand-off between
// processes is not covered either.
package backendtest
