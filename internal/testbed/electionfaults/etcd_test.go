package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// The leader of etcd itself goes, by a kill or by a pause, while candidates stand.
func TestEtcdLeaderGone(t *testing.T) {
	t.Parallel()
	for fault, c := range map[string]struct{ harm, heal func(*testbed.EtcdNode) error }{
		"killed": {func(n *testbed.EtcdNode) error { n.Kill(); return nil }, (*testbed.EtcdNode).Restart},
		"paused": {(*testbed.EtcdNode).Pause, (*testbed.EtcdNode).Resume},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			servers := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
			s := stores.OfEtcd(servers)
			chronicle := newChronicle(t)
			// Longer than the node is paused here: see lockfaults.TestEtcdLeaderPausedPastTheTTL.
			list := start(t, s, chronicle, 4, election.Options{TTL: 30 * time.Second})
			first := chronicle.led(t)
			waiting(t, list[0], 3)
			node, err := servers.Leader()
			suite.Must(t, err)
			harmed := time.Now()
			suite.Must(t, c.harm(node))
			var took []time.Duration
			for range 2 {
				took = append(took, round(handOver(t, chronicle, list)))
			}
			suite.Must(t, c.heal(node))
			took = append(took, round(handOver(t, chronicle, list)))
			for _, d := range took {
				if d > 14*time.Second+slack { // a watch at the member that is silent is given up after 12 s
					t.Errorf("handed over in %v", took)
				}
			}
			if all := chronicle.all(); all[0].term != first.term || len(all) != 4 {
				t.Errorf("%d terms, want 4: one has ended by itself", len(all))
			}
			chronicle.check(t, orderly)
			t.Logf("handed over in %v, the last time when the member was back, after %v", took, round(time.Since(harmed)))
		})
	}
}

// Two of three are down: the leader stops at its own deadline, nobody leads, and somebody does when one
// is back.
func TestEtcdWithoutAMajority(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	// A leader of etcd without a majority answers renewals until it notices, after one to two of these;
	// one that is elected meanwhile counts that in.
	const vote = time.Second
	servers := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
	s := stores.OfEtcd(servers)
	c := newChronicle(t)
	list := start(t, s, c, 3, election.Options{TTL: ttl})
	first := c.led(t)
	waiting(t, list[0], 2)
	down := servers.Nodes()[1:]
	for _, n := range down {
		n.Kill()
	}
	gone := time.Now()
	old := c.over(t, first.term)
	if cause := causeOf(old.cause); cause != election.Unreachable {
		t.Errorf("cause %v, want unreachable", old.cause)
	}
	if d := old.ended.Sub(gone); d > ttl+2*vote+slack {
		t.Errorf("the leader believed for %v without a majority", d)
	}
	time.Sleep(ttl) // nobody may lead in this time
	back := time.Now()
	suite.Must(t, down[0].Restart())
	next := c.led(t)
	if next.began.Before(back) {
		t.Errorf("%s led without a majority", next.id)
	}
	if d := next.began.Sub(back); d > takeOver(s, ttl)+2*vote+ttl+slack { // who stands anew pauses for a TTL at most
		t.Errorf("led %v after the majority was back", d)
	}
	c.check(t, orderly)
	t.Logf("stopped %v after the majority had gone, the next led %v after it was back",
		round(old.ended.Sub(gone)), round(next.began.Sub(back)))
}
