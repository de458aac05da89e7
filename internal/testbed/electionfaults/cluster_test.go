package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// The primary that keeps the election is killed.
func TestClusterPrimaryKilled(t *testing.T) {
	t.Parallel()
	servers := testbed.StartCluster(t, nil)
	s := stores.OfCluster(servers, 0)
	c := newChronicle(t)
	list := start(t, s, c, 3, election.Options{TTL: failoverTTL})
	first := c.led(t)
	waiting(t, list[0], 2)
	var home *testbed.Redis
	for _, r := range servers.Nodes()[:3] {
		size, err := r.Command("DBSIZE")
		suite.Must(t, err)
		if size != "0" {
			home = r
		}
	}
	home.Kill()
	killed := time.Now()
	_, err := servers.WaitFailover(suite.Soon(t), home)
	suite.Must(t, err)
	elected := time.Since(killed)
	failed := of(list, c.led(t).id).failures()
	took := handOver(t, c, list)
	if took > takeOver(s, failoverTTL)+slack {
		t.Errorf("handed over in %v", took)
	}
	c.check(t, increasing)
	t.Logf("another primary after %v; %d renewals of the leader failed, its term was kept: %t; handed over in %v",
		round(elected), failed, c.all()[0].term == first.term && len(c.all()) == 2, round(took))
}
