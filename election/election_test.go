package election_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = 9 * time.Second

// bubble runs f in virtual time on a fresh memory backend. join makes a candidate, as a process of
// its own would have it.
func bubble(t *testing.T, f func(t *testing.T, be *memorybackend.Backend, join func(c election.Candidate, o *election.Options) *election.Election)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = be.Close(context.Background()) })
		f(t, be, func(c election.Candidate, o *election.Options) *election.Election {
			t.Helper()
			var opt election.Options
			if o != nil {
				opt = *o
			}
			if opt.TTL == 0 {
				opt.TTL = ttl
			}
			if opt.Hooks == nil {
				opt.Hooks = &election.Hooks{}
			}
			e, err := election.New(be.Leases(), "billing", c, &opt)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			return e
		})
	})
}

func id(s string) election.Candidate { return election.Candidate{ID: s, Addr: s + ":80"} }

func campaign(t *testing.T, e *election.Election) *election.Leadership {
	t.Helper()
	l, err := e.Campaign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func cause(err error) election.Cause {
	var lost *election.LostError
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return 0
}

// leads waits until the candidate with that id leads.
func leads(t *testing.T, e *election.Election, id string) election.Leader {
	t.Helper()
	for range 1000 {
		if l, err := e.Leader(t.Context()); err == nil && l.ID == id {
			return l
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s never led", id)
	return election.Leader{}
}

func TestCampaignAndResign(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, b := join(id("a"), nil), join(id("b"), nil)
		if _, err := b.Leader(t.Context()); !errors.Is(err, election.ErrNoLeader) {
			t.Errorf("%v", err)
		}
		first := campaign(t, a)
		got, err := b.Leader(t.Context())
		if err != nil || got.ID != "a" || got.Addr != "a:80" || got.Term != first.Term() {
			t.Errorf("%+v, %v", got, err)
		}
		next := make(chan *election.Leadership)
		go func() { next <- campaign(t, b) }()
		synctest.Wait()
		start := time.Now()
		if err := first.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := <-next
		if d := time.Since(start); d != 0 || second.Term() <= first.Term() {
			t.Errorf("term %v after %v, %v later", second.Term(), first.Term(), d)
		}
		if c := cause(context.Cause(first.Context())); c != election.Resigned || first.Valid(0) {
			t.Errorf("cause %v", c)
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}

// A leader that dies is followed when its TTL has passed, and its own context has ended before.
func TestDeadLeaderIsFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, b := join(id("a"), nil), join(id("b"), nil)
		l := campaign(t, a)
		be.Control().FailNext(1<<20, election.ErrUnavailable) // nothing gets through
		<-l.Context().Done()
		if c := cause(context.Cause(l.Context())); c != election.Unreachable {
			t.Errorf("cause %v", c)
		}
		be.Control().FailNext(0, nil)
		next := campaign(t, b)
		if next.Term() <= l.Term() {
			t.Errorf("term %v after %v", next.Term(), l.Term())
		}
	})
}

func TestProclaim(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a := join(election.Candidate{ID: "a", Addr: "x:1", Meta: []byte("before")}, nil)
		l := campaign(t, a)
		for _, meta := range []string{"before", "after", ""} {
			if meta != "before" {
				if err := l.Proclaim(t.Context(), []byte(meta)); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := a.Leader(t.Context()); err != nil || string(got.Meta) != meta || got.Addr != "x:1" || got.Term != l.Term() {
				t.Errorf("%+v, %v; want %q", got, err, meta)
			}
		}
		if err := l.Proclaim(t.Context(), make([]byte, 4000)); !errors.Is(err, election.ErrInvalid) {
			t.Error(err)
		}
		_ = l.Resign(t.Context())
		if err := l.Proclaim(t.Context(), nil); !errors.Is(err, election.ErrNotHeld) {
			t.Error(err)
		}
	})
}

func TestTransferTo(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a := join(id("a"), nil)
		l := campaign(t, a)
		for _, name := range []string{"b", "c", "d"} {
			e := join(id(name), nil)
			go func() { _, _ = e.Campaign(t.Context()) }()
			synctest.Wait()
		}
		if err := l.TransferTo(t.Context(), "nobody"); !errors.Is(err, election.ErrNoCandidate) || l.Context().Err() != nil {
			t.Errorf("%v, %v", err, l.Context().Err())
		}
		if err := l.TransferTo(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Leader(t.Context()); err != nil || got.ID != "c" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestRunLeadsUntilItsFuncReturns(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, b := join(id("a"), nil), join(id("b"), nil)
		boom := errors.New("boom")
		err := a.Run(t.Context(), func(ctx context.Context, term election.Term) error {
			if term == 0 || ctx.Err() != nil {
				t.Errorf("term %v, %v", term, ctx.Err())
			}
			time.Sleep(time.Minute) // it is renewed
			if ctx.Err() != nil {
				t.Error(context.Cause(ctx))
			}
			return boom
		})
		if err != boom {
			t.Error(err)
		}
		start := time.Now()
		campaign(t, b)
		if d := time.Since(start); d != 0 {
			t.Errorf("handed over after %v", d)
		}
	})
}

// When ctx ends, the next leader begins when the work has ended, and not before.
func TestRunDrains(t *testing.T) {
	for name, c := range map[string]struct{ work, next time.Duration }{
		"in time": {4 * time.Second, 4 * time.Second},
		"late":    {30 * time.Second, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
				var late error
				a := join(id("a"), &election.Options{Drain: 6 * time.Second, Hooks: &election.Hooks{Drained: func(i election.Info) { late = i.Err }}})
				b := join(id("b"), nil)
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					err := a.Run(ctx, func(ctx context.Context, _ election.Term) error {
						<-ctx.Done()
						time.Sleep(c.work)
						return nil
					})
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
				leads(t, b, "a")
				next := make(chan time.Time, 1)
				go func() { campaign(t, b); next <- time.Now() }()
				synctest.Wait()
				stop()
				ended := time.Now()
				if d := (<-next).Sub(ended); d != c.next {
					t.Errorf("the next leader began after %v, want %v", d, c.next)
				}
				wg.Wait()
				if d := time.Since(ended); d != c.work {
					t.Errorf("Run returned after %v, want %v", d, c.work)
				}
				if (late != nil) != (name == "late") {
					t.Errorf("drained: %v", late)
				}
			})
		})
	}
}

// A term that is lost is stood for again, and the work never runs twice at once.
func TestRunStandsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a := join(id("a"), nil)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var running sync.Mutex
		var terms []election.Term
		err := a.Run(ctx, func(ctx context.Context, term election.Term) error {
			if !running.TryLock() {
				t.Error("the work runs twice")
			}
			defer running.Unlock()
			if n := len(terms); n > 0 && term <= terms[n-1] {
				t.Errorf("term %v after %v", term, terms[n-1])
			}
			if terms = append(terms, term); len(terms) == 3 {
				stop()
			} else {
				be.Control().Revoke("election/billing", "maintenance")
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			return context.Cause(ctx)
		})
		if !errors.Is(err, context.Canceled) || len(terms) != 3 {
			t.Errorf("%v after %d terms", err, len(terms))
		}
	})
}

func TestRunReturnsThePanic(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, b := join(id("a"), nil), join(id("b"), nil)
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not pass through")
				}
			}()
			_ = a.Run(t.Context(), func(context.Context, election.Term) error { panic("boom") })
		}()
		campaign(t, b)
	})
}

// A candidate of higher priority asks the leader to leave, who does so in good order; one that comes
// before MinTerm is over waits for that.
func TestPreemption(t *testing.T) {
	for name, minTerm := range map[string]time.Duration{"at once": 0, "after a while": 40 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
				low := join(id("low"), nil)
				high := join(election.Candidate{ID: "high", Priority: 5}, &election.Options{MinTerm: minTerm})
				equal := join(id("equal"), nil)
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				var ended election.Cause
				wg.Go(func() {
					_ = low.Run(ctx, func(ctx context.Context, _ election.Term) error {
						<-ctx.Done()
						ended = cause(context.Cause(ctx))
						time.Sleep(2 * time.Second) // winds up under the claim
						return nil
					})
				})
				leads(t, low, "low")
				go func() { _, _ = equal.Campaign(ctx) }()
				time.Sleep(time.Minute)
				if l, err := low.Leader(ctx); err != nil || l.ID != "low" {
					t.Errorf("one of the same priority took over: %v, %v", l, err)
				}
				start := time.Now()
				l, err := high.Campaign(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d < minTerm+2*time.Second || d > minTerm+3*time.Second {
					t.Errorf("took over after %v", d)
				}
				if ended != election.Preempted {
					t.Errorf("cause %v", ended)
				}
				_ = l.Resign(ctx)
				stop()
				wg.Wait()
			})
		})
	}
}

// A sick candidate does not stand, and a leader that becomes sick steps down, also when its check
// hangs.
func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		var mu sync.Mutex
		sick, hangs := errors.New("no disk"), false
		set := func(err error, hang bool) {
			mu.Lock()
			defer mu.Unlock()
			sick, hangs = err, hang
		}
		var reports []error
		a := join(id("a"), &election.Options{
			Healthy: func(ctx context.Context) error {
				mu.Lock()
				err, hang := sick, hangs
				mu.Unlock()
				if hang {
					time.Sleep(time.Minute)
				}
				return err
			},
			Hooks: &election.Hooks{Health: func(i election.Info) { reports = append(reports, i.Err) }},
		})
		b := join(id("b"), nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var causes []error
		wg.Go(func() {
			_ = a.Run(ctx, func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				causes = append(causes, context.Cause(ctx))
				return nil
			})
		})
		time.Sleep(time.Minute)
		if _, err := b.Leader(ctx); !errors.Is(err, election.ErrNoLeader) {
			t.Errorf("a sick candidate leads: %v", err)
		}
		set(nil, false)
		leads(t, b, "a")
		set(nil, true) // the store can be reached, and the check hangs
		start := time.Now()
		l := campaign(t, b)
		if d := time.Since(start); d > ttl {
			t.Errorf("stepped down after %v", d)
		}
		if len(causes) != 1 || cause(causes[0]) != election.Resigned {
			t.Errorf("causes %v", causes)
		}
		set(nil, false)
		_ = l.Resign(ctx)
		leads(t, b, "a")
		stop()
		wg.Wait()
		if len(reports) != 4 || reports[0] == nil || reports[1] != nil || reports[2] == nil || reports[3] != nil {
			t.Errorf("reports %v", reports)
		}
		time.Sleep(time.Hour)
	})
}

func TestDuplicateID(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, twin := join(id("a"), nil), join(id("a"), nil)
		l := campaign(t, a)
		var dup *election.DuplicateError
		if _, err := twin.Campaign(t.Context()); !errors.As(err, &dup) || !dup.Leading || dup.Addr != "a:80" {
			t.Errorf("%v", err)
		}
		if err := twin.Run(t.Context(), nil); !errors.Is(err, election.ErrDuplicate) {
			t.Errorf("%v", err)
		}
		// What an earlier process of that ID has left is waited for.
		be.Control().FailNext(1<<20, election.ErrUnavailable)
		<-l.Context().Done()
		be.Control().FailNext(0, nil)
		campaign(t, twin)
	})
}

func TestCloseEndsTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a, b := join(id("a"), nil), join(id("b"), nil)
		l := campaign(t, a)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := cause(context.Cause(l.Context())); c != election.Closed {
			t.Errorf("cause %v", c)
		}
		campaign(t, b)
		for op, err := range map[string]error{
			"campaign": second(a.Campaign(t.Context())),
			"run":      a.Run(t.Context(), nil),
			"leader":   second(a.Leader(t.Context())),
		} {
			if !errors.Is(err, election.ErrClosed) {
				t.Errorf("%s: %v", op, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
