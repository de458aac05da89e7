package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
)

// What docs/operations.md states: the requests of a minute of each part that has nothing to do, with the
// default TTL.
var perMinute = map[string]struct{ leader, candidate, observer int64 }{
	stores.Redis: {18, 90, 84},
	stores.Etcd:  {30, 36, 18},
}

func TestRequestsOfAnIdleElection(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const (
			// start ends after the first renewal and the first look, which send their scripts along: they
			// arrive in as many pieces as the machine likes.
			start  = 7 * time.Second
			window = 20 * time.Second
		)
		var sent []func() int64
		part := func(id string) *candidate {
			t.Helper()
			r := &stores.Route{Calls: &stores.Calls{}}
			if s.Kind == stores.Redis { // the pings of a subscription, too
				r = &stores.Route{Network: newNetwork(t)}
				sent = append(sent, func() int64 { return int64(r.Network.Counts().Requests.Chunks) })
			} else {
				sent = append(sent, r.Calls.Sent)
			}
			return join(t, s, election.Candidate{ID: id}, election.Options{}, r)
		}
		c := newChronicle(t)
		leader, waiter, observer := part("leader"), part("candidate"), part("observer")
		leader.run(t, c, 0)
		c.led(t)
		waiter.run(t, c, 0)
		waiting(t, join(t, s, election.Candidate{ID: "test"}, election.Options{}, nil), 1)
		if observer.Leases().Capabilities().Announce {
			watch(t, observer)
		}
		time.Sleep(start)
		var before [3]int64
		for i, f := range sent {
			before[i] = f()
		}
		time.Sleep(window)
		most := perMinute[s.Kind]
		for i, most := range []int64{most.leader, most.candidate, most.observer} {
			n := (sent[i]() - before[i]) * int64(time.Minute/window)
			part := []string{"leader", "candidate", "observer"}[i]
			if n > most || n == 0 && observer.Leases().Capabilities().Announce {
				t.Errorf("%s: %d requests in a minute, want at most %d", part, n, most)
			}
			t.Logf("%s: %d requests in a minute", part, n)
		}
		if len(c.all()) != 1 {
			t.Errorf("%d terms, want the one", len(c.all()))
		}
	})
}
