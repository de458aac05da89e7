package memberfaults

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/membership"
)

const (
	// slack is how much later than promised something may be seen on a busy machine.
	slack = 4 * time.Second

	// noted is how much later than it was made a view may be noted.
	noted = 200 * time.Millisecond

	// leastTTL is the shortest that etcd keeps.
	leastTTL = 2 * time.Second

	// faultTTL is the TTL of members whose servers go: longer than a fail-over takes.
	faultTTL = 6 * time.Second

	name = "api"                // of the group
	key  = "membership/" + name // of its claims
)

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// newNetwork returns a network that ends with the test, after the processes that use it. The test must
// heal it, so that they can end in good order.
func newNetwork(t *testing.T) *faultnet.Network {
	n := faultnet.New(faultnet.Seed(t))
	t.Cleanup(n.Close)
	return n
}

// process is a Group with a client and a backend of its own, and what its hooks were told.
type process struct {
	*stores.Node
	*membership.Group

	mu            sync.Mutex
	joined, ended []membership.Info
	renewed       int
	failed        int // tries to join again or to read, and renewals
}

// open makes a process that reaches the servers by a route. It ends with the test, and must do so
// cleanly.
func open(t testing.TB, s stores.Store, ttl time.Duration, r *stores.Route) *process {
	t.Helper()
	n, err := stores.Connect(s, r)
	suite.Must(t, err)
	suite.Ends(t, n.End)
	p := &process{Node: n}
	note := func(list *[]membership.Info) func(membership.Info) {
		return func(i membership.Info) {
			p.mu.Lock()
			defer p.mu.Unlock()
			*list = append(*list, i)
		}
	}
	tried := func(i membership.Info) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i.Err == nil {
			p.renewed++
		} else {
			p.failed++
		}
	}
	o := &membership.Options{TTL: ttl, Hooks: &membership.Hooks{
		Joined: note(&p.joined), Ended: note(&p.ended), Renewed: tried, Failed: tried,
	}}
	p.Group, err = membership.New(n.Leases(), name, o)
	suite.Must(t, err)
	suite.Ends(t, p.Close)
	return p
}

// stays returns how often members of the process have joined, and been lost or left.
func (p *process) stays() (joined, ended int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.joined), len(p.ended)
}

// stands reports whether n members of the process are in the group, as far as it knows.
func (p *process) stands(n int) bool {
	joined, ended := p.stays()
	return joined-ended == n
}

// renewals returns how often a member of the process was renewed or has joined.
func (p *process) renewals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renewed + len(p.joined)
}

// failures returns how often a renewal or joining again has failed.
func (p *process) failures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// causes returns how often each cause has ended a stay.
func causes(list ...*process) map[membership.Cause]int {
	n := map[membership.Cause]int{}
	for _, p := range list {
		p.mu.Lock()
		for _, i := range p.ended {
			n[causeOf(i.Err)]++
		}
		p.mu.Unlock()
	}
	return n
}

func member(id string) membership.Member {
	return membership.Member{ID: id, Addr: id + ":80", Zone: "z1", Weight: 1}
}

// join has a process join as a member.
func join(t testing.TB, p *process, id string) *membership.Registration {
	t.Helper()
	r, err := p.Join(suite.Soon(t), member(id))
	suite.Must(t, err)
	return r
}

// crowd opens processes and has each join as so many members, all at the same time. It returns when all
// have joined, and how long each took. A server that is too busy is asked again, as the error says.
func crowd(t testing.TB, s stores.Store, processes, each int, ttl time.Duration, r *stores.Route) (list []*process, took []time.Duration) {
	t.Helper()
	for range processes {
		list = append(list, open(t, s, ttl, r))
	}
	ctx := suite.Soon(t)
	took = make([]time.Duration, processes*each)
	var all sync.WaitGroup
	for i, p := range list {
		for j := range each {
			all.Go(func() {
				start := time.Now()
				id := fmt.Sprintf("pod-%02d-%03d", i, j)
				_, err := p.Join(ctx, member(id))
				for errors.Is(err, membership.ErrUnavailable) && ctx.Err() == nil {
					_, err = p.Join(ctx, member(id))
				}
				if err != nil {
					t.Error(err)
				}
				took[i*each+j] = time.Since(start)
			})
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return list, took
}

// quantile returns the p-th percentile.
func quantile(list []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return round(sorted[(len(sorted)-1)*p/100])
}

func causeOf(err error) membership.Cause {
	var lost *membership.LostError
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return 0
}

// rejoins bounds the time from when servers answer again, or have forgotten everything, until all members
// are back: a third of the TTL until a loss is noticed, three quarters between two tries, a sixth for one
// that is not answered, and the TTL of what such a one has left. A client of etcd also needs up to 10 s for a
// connection whose other end was gone.
func rejoins(s stores.Store, ttl time.Duration) time.Duration {
	d := ttl * 9 / 4
	if s.Kind == stores.Etcd {
		d += 10 * time.Second
	}
	return d
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
