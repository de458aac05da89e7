package electionfaults

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// Many candidates stand for one election, over several clients. Each that leads resigns at once: all of
// them lead, one after the other and in the order in which they came. It runs alone: a crowd keeps a small
// machine busy.
func TestCrowdLeadsInTurn(t *testing.T) {
	crowdLeads := func(t *testing.T, s stores.Store) {
		const crowd, nodes, ttl = 200, 10, 15 * time.Second
		type turn struct {
			at   time.Time
			term election.Term
		}
		var sent stores.Calls
		var mu sync.Mutex
		var turns []turn
		var inside atomic.Int32
		var running group
		first := join(t, s, election.Candidate{ID: "first"}, election.Options{TTL: ttl}, nil)
		l, err := first.Campaign(suite.Soon(t))
		suite.Must(t, err)
		ctx := suite.Soon(t)
		for i := range nodes {
			n, err := stores.Connect(s, &stores.Route{Calls: &sent})
			suite.Must(t, err)
			suite.Ends(t, n.End)
			for j := range crowd / nodes {
				e, err := election.New(n.Leases(), name, election.Candidate{ID: fmt.Sprint(i, " ", j)},
					&election.Options{TTL: ttl, Hooks: &election.Hooks{}})
				suite.Must(t, err)
				suite.Ends(t, e.Close)
				running.Go(func() {
					l, err := e.Campaign(ctx)
					at := time.Now()
					if err != nil {
						t.Error(err)
						return
					}
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d leaders at once", n)
					}
					mu.Lock()
					turns = append(turns, turn{at, l.Term()})
					mu.Unlock()
					inside.Add(-1)
					if err := resign(l); err != nil {
						t.Error(err)
					}
				})
			}
			waiting(t, first, (i+1)*crowd/nodes) // those of one process come at once
		}
		before := sent.Sent()
		began := time.Now()
		suite.Must(t, resign(l))
		running.wait(t)
		took := time.Since(began)
		requests := float64(sent.Sent()-before) / crowd

		if len(turns) != crowd || !slices.IsSortedFunc(turns, func(a, b turn) int { return int(a.term) - int(b.term) }) {
			t.Fatalf("%d of %d led in the order of their terms", len(turns), crowd)
		}
		var each []time.Duration
		last := began
		for _, at := range turns {
			each, last = append(each, at.at.Sub(last)), at.at
		}
		if most := crowd * 150 * time.Millisecond; took > most {
			t.Errorf("all led within %v, want %v", took, most)
		}
		// The release. Heartbeats and looks of those who wait come on top.
		if requests > 5 {
			t.Errorf("%.2f requests for each hand-over", requests)
		}
		t.Logf("%d led within %v: p50 %v, p99 %v, %.2f requests for each hand-over",
			crowd, round(took), quantile(each, 50), quantile(each, 99), requests)
	}
	t.Run(stores.Redis, func(t *testing.T) { crowdLeads(t, stores.OfRedis(testbed.StartRedis(t, nil))) })
	t.Run(stores.Etcd, func(t *testing.T) { crowdLeads(t, stores.OfEtcd(testbed.StartEtcd(t, nil))) })
}
