package electionfaults

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// failoverTTL is the TTL of candidates whose primary goes: longer than a fail-over takes.
const failoverTTL = 6 * time.Second

// The primary is killed. Terms go on increasing, and where replicas confirm each grant, no two lead at
// once.
func TestSentinelPrimaryKilled(t *testing.T) {
	t.Parallel()
	for name, replicas := range map[string]int{"without WaitReplicas": 0, "with WaitReplicas": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := testbed.StartSentinel(t, nil)
			c := newChronicle(t)
			s := stores.OfSentinel(servers, replicas)
			list := start(t, s, c, 3, election.Options{TTL: failoverTTL})
			first := c.led(t)
			waiting(t, list[0], 2)
			suite.Must(t, servers.WaitSynced(suite.Soon(t)))
			old, err := servers.Primary()
			suite.Must(t, err)
			old.Kill()
			killed := time.Now()
			heir, err := servers.WaitPrimary(suite.Soon(t), old)
			suite.Must(t, err)
			elected := time.Since(killed)
			if heir == old {
				t.Error("nothing has failed over")
			}
			if replicas > 0 { // without a replica the heir grants nothing
				suite.Must(t, old.Restart())
				suite.Must(t, servers.WaitReplica(suite.Soon(t), old))
			}
			failed := of(list, c.led(t).id).failures()
			took := handOver(t, c, list)
			if took > takeOver(s, failoverTTL)+slack {
				t.Errorf("handed over in %v", took)
			}
			c.check(t, map[bool]promise{true: orderly, false: increasing}[replicas > 0])
			t.Logf("another primary after %v; %d renewals of the leader failed, its term was kept: %t; handed over in %v",
				round(elected), failed, len(c.all()) == 2 && c.all()[0].term == first.term, round(took))
		})
	}
}

// A term that the heir does not know of: its leader and the next one believe at once, and the fence tells
// them apart.
func TestSentinelFailoverLosesATerm(t *testing.T) {
	t.Parallel()
	servers := testbed.StartSentinel(t, nil)
	s := stores.OfSentinel(servers, 0)
	old, err := servers.Primary()
	suite.Must(t, err)
	c := newChronicle(t)
	for _, command := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
		_, err := old.Command(strings.Fields(command)...)
		suite.Must(t, err)
	}
	suite.Wait(t, "no replica follows", func() bool {
		info, err := old.Info("replication")
		return err == nil && info["connected_slaves"] == "0"
	})
	const ttl = 15 * time.Second // so that it is not renewed before the next one leads
	start(t, s, c, 1, election.Options{TTL: ttl})
	first := c.led(t)
	old.Kill()
	killed := time.Now()
	_, err = servers.WaitPrimary(suite.Soon(t), old)
	suite.Must(t, err)
	other := join(t, s, election.Candidate{ID: "other"}, election.Options{TTL: ttl}, nil)
	other.run(t, c, 0)
	next := c.after(t, killed)
	if next.id != "other" || next.term <= first.term {
		t.Errorf("%s leads term %v after term %v", next.id, next.term, first.term)
	}
	former := c.over(t, first.term)
	if cause := causeOf(former.cause); cause != election.BackendLost {
		t.Errorf("cause %v, want backend lost", former.cause)
	}
	if d := former.ended.Sub(next.began); d > ttl/3+slack {
		t.Errorf("the former leader learnt of it %v after the next one led", d)
	}
	if err := c.guard.Raise(t.Context(), data, first.term); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("the former leader's write: %v, want it fenced", err)
	}
	overlaps := c.overlaps()
	if overlaps == 0 || former.fenced == 0 {
		t.Errorf("%d overlaps, %d writes refused: the test shows nothing", overlaps, former.fenced)
	}
	c.check(t, increasing)
	t.Logf("%d overlaps, %d writes refused; the former leader stopped %v after the next one began",
		overlaps, former.fenced, round(former.ended.Sub(next.began)))
}
