package electionfaults

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

const (
	// slack is how much later than promised something may be seen on a busy machine.
	slack = 4 * time.Second

	// leastTTL is the shortest that etcd keeps.
	leastTTL = 2 * time.Second

	name = "billing"          // of the election
	key  = "election/" + name // of its claims
)

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// newNetwork returns a network that ends with the test, after the candidates that join from now on. The
// test must heal it, so that they can end in good order.
func newNetwork(t *testing.T) *faultnet.Network {
	n := faultnet.New(faultnet.Seed(t))
	t.Cleanup(n.Close)
	return n
}

// takeOver bounds the time from the death of a leader to the next one: the TTL, on Redis the claim
// window of one dead candidate and two heartbeats with their jitter, on etcd the second in which it
// looks for ends.
func takeOver(s stores.Store, ttl time.Duration) time.Duration {
	if s.Kind == stores.Etcd {
		return ttl + time.Second
	}
	return ttl + min(ttl, 3*time.Second) + min(ttl/3, 5*time.Second)*24/10
}

// candidate is an Election with a client and a backend of its own, and what its hooks were told.
type candidate struct {
	*stores.Node
	*election.Election
	id   string
	stop func() time.Duration // of run

	mu                     sync.Mutex
	ended, drained, health []election.Info
	failed                 int // tries to stand, and renewals
}

// join makes a candidate that reaches the servers by a route. It ends with the test, and must do so
// cleanly.
func join(t testing.TB, s stores.Store, c election.Candidate, o election.Options, r *stores.Route) *candidate {
	t.Helper()
	n, err := stores.Connect(s, r)
	suite.Must(t, err)
	suite.Ends(t, n.End)
	p := &candidate{Node: n, id: c.ID}
	note := func(list *[]election.Info) func(election.Info) {
		return func(i election.Info) {
			p.mu.Lock()
			defer p.mu.Unlock()
			*list = append(*list, i)
		}
	}
	failed := func(i election.Info) {
		if i.Err == nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failed++
	}
	o.Hooks = &election.Hooks{
		Ended: note(&p.ended), Drained: note(&p.drained), Health: note(&p.health), Renewed: failed, Failed: failed,
	}
	p.Election, err = election.New(n.Leases(), name, c, &o)
	suite.Must(t, err)
	suite.Ends(t, p.Close)
	return p
}

// told returns a copy of what a hook was told.
func (p *candidate) told(list *[]election.Info) []election.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]election.Info(nil), *list...)
}

// failures returns how often standing or a renewal has failed.
func (p *candidate) failures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// run has the candidate stand in the background and lead by the chronicle, until it is told to stop or
// the test ends. stop returns when Run has, and tells how long that took.
func (p *candidate) run(t testing.TB, c *chronicle, windUp time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- p.Run(ctx, func(ctx context.Context, term election.Term) error {
			c.lead(ctx, p.id, term, 0, windUp)
			return nil
		})
	}()
	var once sync.Once
	var took time.Duration
	p.stop = func() time.Duration {
		once.Do(func() {
			start := time.Now()
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: Run: %v", p.id, err)
				}
			case <-time.After(suite.Eventually):
				t.Errorf("%s: Run does not return", p.id)
			}
			took = time.Since(start)
		})
		return took
	}
	t.Cleanup(func() { p.stop() })
}

// start has n candidates stand, with ids from "a" on.
func start(t testing.TB, s stores.Store, c *chronicle, n int, o election.Options) (list []*candidate) {
	t.Helper()
	for i := range n {
		p := join(t, s, election.Candidate{ID: string(rune('a' + i))}, o, nil)
		p.run(t, c, 0)
		list = append(list, p)
	}
	return list
}

// handOver has the leader, which is one of a list, stop and returns how long it took until the next one
// led.
func handOver(t testing.TB, c *chronicle, list []*candidate) time.Duration {
	t.Helper()
	leader := of(list, c.led(t).id)
	asked := time.Now()
	leader.stop()
	return c.after(t, asked).began.Sub(asked)
}

// waiting returns when at least n candidates wait.
func waiting(t testing.TB, p *candidate, n int) {
	t.Helper()
	ctx := suite.Soon(t)
	suite.Wait(t, "candidates wait", func() bool {
		s, err := p.Leases().Inspect(ctx, key)
		return err == nil && s.Waiting >= n
	})
}

// resign ends a term. On a busy machine the release may go on in the background.
func resign(l *election.Leadership) error {
	if err := l.Resign(context.Background()); err != nil && !errors.Is(err, election.ErrUncertain) {
		return err
	}
	return nil
}

// of returns the candidate with an id.
func of(list []*candidate, id string) *candidate {
	for _, p := range list {
		if p.id == id {
			return p
		}
	}
	return nil
}

// stalled holds everything back until it is lifted.
var stalled = faultnet.Faults{Stall: true}

// partitions are ways to lose touch with the servers.
var partitions = map[string]faultnet.Rules{
	"cut":       {Cut: true},
	"half-open": {HalfOpen: true},
	"stalled":   {Requests: stalled, Replies: stalled},
	"deaf":      {Replies: stalled},
}

// group is goroutines that a test waits for.
type group struct{ sync.WaitGroup }

// wait returns when all have ended, which they must do soon.
func (g *group) wait(t testing.TB) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Wait()
	}()
	select {
	case <-done:
	case <-time.After(suite.Eventually):
		t.Fatal("goroutines of the test do not end")
	}
}

// quantile returns the p-th percentile.
func quantile(list []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[(len(sorted)-1)*p/100].Round(10 * time.Microsecond)
}

func causeOf(err error) election.Cause {
	var lost *election.LostError
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return 0
}
