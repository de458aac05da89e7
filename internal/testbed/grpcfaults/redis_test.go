package grpcfaults

import (
	"testing"

	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
)

// TestRedisIsAwayAndForgets: while Redis is down for longer than the TTL, and when it is back without its
// data, no call notices. Afterwards changes are seen again.
func TestRedisIsAwayAndForgets(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	all := []*replica{start(t, server, nil, "a"), start(t, server, nil, "b"), start(t, server, nil, "c")}
	c := call(t, server)
	c.reaches(t, all...)
	server.Kill()
	for _, r := range all {
		wait(t, "it is lost", func() bool { return r.lost.Load() > 0 })
	}
	c.reaches(t, all...)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		wait(t, "it has joined again", func() bool { return r.again.Load() > 0 })
	}
	c.told(t, 3)
	c.reaches(t, all...)
	if err := all[0].Leave(t.Context()); err != nil {
		t.Error(err)
	}
	c.told(t, 2)
	all[0].GracefulStop()
	c.reaches(t, all[1:]...)
	c.perfect(t)
}

// TestMemberIsCutOff: a member that cannot reach Redis gets no calls after its TTL, though it could
// answer them, and gets them again when it can.
func TestMemberIsCutOff(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	network := faultnet.New(faultnet.Seed(t))
	t.Cleanup(network.Close)
	a, b := start(t, server, nil, "a"), start(t, server, nil, "b")
	cut := start(t, server, network.DialContext, "c")
	c := call(t, server)
	c.reaches(t, a, b, cut)
	network.Set(faultnet.Rules{Cut: true})
	c.told(t, 2)
	c.reaches(t, a, b)
	network.Heal()
	c.told(t, 3)
	c.reaches(t, a, b, cut)
	c.perfect(t)
}

// TestMemberCrashes: one of three is gone without a word. At most the calls under way fail, and it is
// forgotten after its TTL.
func TestMemberCrashes(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	network := faultnet.New(faultnet.Seed(t))
	t.Cleanup(network.Close)
	a, b := start(t, server, nil, "a"), start(t, server, nil, "b")
	crashing := start(t, server, network.DialContext, "c")
	c := call(t, server)
	c.reaches(t, a, b, crashing)
	network.Set(faultnet.Rules{Cut: true})
	crashing.Stop()
	c.told(t, 2)
	c.reaches(t, a, b)
	network.Heal() // so that what is left of it can be closed
	c.stop()
	if len(c.failed) > 8 { // one of each goroutine
		t.Errorf("%d calls failed, the last: %v", len(c.failed), c.failed[len(c.failed)-1])
	}
}
