package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// underLoad does something to one member of three while processes take turns on a key and one holds
// another, and reports how long nobody was granted.
func underLoad(t *testing.T, pick func(*testing.T, *testbed.Etcd) *testbed.EtcdNode, harm, heal func(*testbed.EtcdNode) error) {
	t.Parallel()
	// Longer than a leader is paused here: see TestEtcdLeaderPausedPastTheTTL.
	e, p := startEtcd(t, 3, 4, &lock.Options{TTL: 30 * time.Second})
	held := p[0].acquire(t, "held")
	s := startStrain(t, p...)
	s.runs(t, 20)
	n := pick(t, e)
	harmed := time.Now()
	if err := harm(n); err != nil {
		t.Fatal(err)
	}
	s.runs(t, 50)
	p[0].renewed.Store(0)
	wait(t, "a renewal", func() bool { return p[0].renewed.Load() > 0 })
	if err := heal(n); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	s.runs(t, 50)
	gap := s.end(harmed)
	if !held.Valid(0) {
		t.Errorf("lost: %v", context.Cause(held.Context()))
	}
	release(t, held)
	if gap > eventually {
		t.Errorf("nobody was granted for %v", gap)
	}
	t.Logf("%d grants; longest time without one %v, the member was away for %v; %d uncertain releases",
		s.count(), round(gap), round(healed.Sub(harmed)), s.uncertain)
}

func kill(n *testbed.EtcdNode) error { n.Kill(); return nil }

func theLeader(t *testing.T, e *testbed.Etcd) *testbed.EtcdNode {
	t.Helper()
	n, err := e.Leader()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func aFollower(t *testing.T, e *testbed.Etcd) *testbed.EtcdNode {
	t.Helper()
	leader := theLeader(t, e)
	for _, n := range e.Nodes() {
		if n != leader {
			return n
		}
	}
	panic("a cluster of one")
}

func TestEtcdLeaderKilledUnderLoad(t *testing.T) {
	underLoad(t, theLeader, kill, (*testbed.EtcdNode).Restart)
}

func TestEtcdLeaderPausedUnderLoad(t *testing.T) {
	underLoad(t, theLeader, (*testbed.EtcdNode).Pause, (*testbed.EtcdNode).Resume)
}

func TestEtcdFollowerKilledUnderLoad(t *testing.T) {
	underLoad(t, aFollower, kill, (*testbed.EtcdNode).Restart)
}

func TestEtcdFollowerPausedUnderLoad(t *testing.T) {
	underLoad(t, aFollower, (*testbed.EtcdNode).Pause, (*testbed.EtcdNode).Resume)
}

// A leader that was paused for longer than the TTL takes the leases of its time for expired when
// it goes on, and may end them before it learns that another leads. What was renewed there is lost
// then. The holder is told at once, and for that moment there are two, whose writes a fence tells
// apart.
func TestEtcdLeaderPausedPastTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = 8 * time.Second
	e, p := startEtcd(t, 3, 2, &lock.Options{TTL: ttl})
	losses := 0
	for i := range 2 {
		key := fmt.Sprint("k", i)
		held := p[0].acquire(t, key)
		next := p[1].later(t, key)
		n := theLeader(t, e)
		if err := n.Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl + time.Second)
		if !held.Valid(0) {
			t.Errorf("lost while the leader was paused: %v", context.Cause(held.Context()))
		}
		if err := n.Resume(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(time.Second): // it is kept
			release(t, held)
			release(t, await(t, next).Lease)
			continue
		case <-held.Context().Done():
		}
		losses++
		lost, at := lossOf(t, held)
		if lost.Cause != lock.BackendLost {
			t.Errorf("%v, want backend lost", lost)
		}
		g := await(t, next)
		if overlap := at.Sub(g.at); overlap > slack {
			t.Errorf("the holder learnt of it %v after the next one was granted", overlap)
		}
		if g.Token() <= held.Token() {
			t.Errorf("token %v after %v", g.Token(), held.Token())
		}
		if err := p[1].be.Guard().Raise(t.Context(), key, g.Token()); err != nil {
			t.Error(err)
		}
		if err := p[0].guarded(t.Context(), held.Token(), key, "late"); !errors.Is(err, fence.ErrFenced) {
			t.Errorf("the earlier holder's write: %v, want it fenced", err)
		}
		t.Logf("ended by the old leader; the holder learnt of it %v after the next one was granted", round(at.Sub(g.at)))
		if err := g.Release(t.Context()); err != nil && !errors.Is(err, lock.ErrNotHeld) { // its lease may have ended, too
			t.Error(err)
		}
	}
	t.Logf("%d of 2 leases were ended early", losses)
}

// Two of three are down: the holder stops at its own deadline, nobody is granted, and all goes on
// when one is back.
func TestEtcdWithoutAMajority(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	// A leader without a majority answers renewals until it notices, after one to two of these; one
	// that is elected meanwhile counts that in.
	const election = time.Second
	e, p := startEtcd(t, 3, 2, &lock.Options{TTL: ttl})
	held := p[0].acquire(t, "k")
	next := p[1].later(t, "k")
	down := e.Nodes()[1:]
	for _, n := range down {
		n.Kill()
	}
	gone := time.Now()
	tried := make(chan error, 1)
	go func() {
		_, err := p[1].locks.TryAcquire(context.Background(), "other")
		tried <- err
	}()
	lost, at := lossOf(t, held)
	if lost.Cause != lock.Unreachable {
		t.Errorf("%v, want unreachable", lost)
	}
	if d := at.Sub(gone); d > ttl+2*election {
		t.Errorf("the holder believed for %v without a majority, its TTL is %v", d, ttl)
	}
	if late := at.Sub(held.Deadline()); late > slack {
		t.Errorf("lost %v after its deadline", late)
	}
	if err := <-tried; !errors.Is(err, lock.ErrUnavailable) {
		t.Errorf("try: %v, want unavailable", err)
	}
	select {
	case g := <-next:
		// An engine that is silent for the TTL ends the wait; it must not have granted.
		if g.err == nil {
			t.Error("granted without a majority")
		} else if !errors.Is(g.err, lock.ErrUnavailable) {
			t.Errorf("acquire: %v, want unavailable", g.err)
		}
	case <-time.After(2 * ttl):
		t.Error("the wait does not end")
	}
	if err := down[0].Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	l := p[1].acquire(t, "k")
	t.Logf("lost %v after the majority; granted %v after it was back", round(at.Sub(gone)), round(time.Since(back)))
	if l.Token() <= held.Token() {
		t.Errorf("token %v after %v", l.Token(), held.Token())
	}
	release(t, l)
	for _, key := range []string{"k", "other"} {
		wait(t, "nothing is left", func() bool { s := p[0].inspect(t, key); return s.Holder == nil && s.Waiting == 0 })
	}
}

func TestEtcdKilledAndRestartedKeepsTheHolder(t *testing.T) {
	t.Parallel()
	e, p := startEtcd(t, 1, 2, &lock.Options{TTL: 13 * time.Second})
	held := p[0].acquire(t, "k")
	next := p[1].later(t, "k")
	gone := time.Now()
	n := e.Nodes()[0]
	n.Kill()
	if err := n.Restart(); err != nil {
		t.Fatal(err)
	}
	away := time.Since(gone)
	p[0].renewed.Store(0)
	wait(t, "a renewal after the restart", func() bool { return p[0].renewed.Load() > 0 })
	if !held.Valid(0) {
		t.Errorf("lost: %v", context.Cause(held.Context()))
	}
	select {
	case g := <-next:
		t.Fatalf("granted while held: %+v", g)
	default:
	}
	released := time.Now()
	release(t, held)
	g := await(t, next)
	if g.Token() <= held.Token() {
		t.Errorf("token %v after %v", g.Token(), held.Token())
	}
	t.Logf("held through %v without a server, handed over in %v", round(away), round(g.at.Sub(released)))
	release(t, g.Lease)
}

// The connection of a waiter to the member that serves its watch falls silent, while the member
// itself is well. The watch is given up and opened at another member.
func TestEtcdMemberFallsSilent(t *testing.T) {
	t.Parallel()
	opt := &lock.Options{TTL: 30 * time.Second}
	e, p := startEtcd(t, 3, 1, opt)
	networks := map[string]*faultnet.Network{}
	for n, addr := range e.Endpoints() {
		networks[addr] = faultnet.New(uint64(n))
		t.Cleanup(networks[addr].Close)
	}
	waiter := newEtcdProcess(t, recommended.Dialing(recommended.Etcd(e.Endpoints()), func(ctx context.Context, addr string) (net.Conn, error) {
		return networks[addr].DialAddr(ctx, addr)
	}), opt)
	held := p[0].acquire(t, "k")
	next := waiter.later(t, "k")

	// What others release is told to the waiter by its watch only.
	const told = 20
	before := map[string]int{}
	for addr, n := range networks {
		before[addr] = n.Counts().Replies.Chunks
	}
	for range told {
		release(t, p[0].acquire(t, "other"))
	}
	var silent *faultnet.Network
	wait(t, "the watch tells of the releases", func() bool {
		for addr, n := range networks {
			if n.Counts().Replies.Chunks-before[addr] >= told {
				silent = n
			}
		}
		return silent != nil
	})

	silent.Set(faultnet.Rules{Requests: faultnet.Faults{Stall: true}, Replies: faultnet.Faults{Stall: true}})
	released := time.Now()
	release(t, held)
	g := await(t, next)
	took := g.at.Sub(released)
	if took > 12*time.Second+slack { // 5 s of quiet, 5 s for a sign of life, 2 s to open another
		t.Errorf("handed over in %v", took)
	}
	c, lost := silent.Counts(), waiter.log.count("watch lost")
	if c.Replies.Stalled == 0 || lost == 0 {
		t.Errorf("%d replies held back, watch lost %d times: the fault has not hit", c.Replies.Stalled, lost)
	}
	silent.Heal()
	release(t, g.Lease)
	t.Logf("handed over in %v; %d chunks held back, watch lost %d times", round(took), c.Requests.Stalled+c.Replies.Stalled, lost)
}

// What a broken watch has missed is compacted away, again and again, while locks are handed over.
func TestEtcdCompactionDuringHandOffs(t *testing.T) {
	t.Parallel()
	e := testbed.StartEtcd(t, nil)
	network := faultnet.New(1)
	t.Cleanup(network.Close)
	var p []*etcdProcess
	for range 4 {
		p = append(p, newEtcdProcess(t, recommended.Dialing(recommended.Etcd(e.Endpoints()), network.DialAddr), nil))
	}
	operator := newEtcdProcess(t, recommended.Etcd(e.Endpoints()), nil)
	s := startStrain(t, p...)
	compacted := func() (n int) {
		for _, q := range p {
			n += q.log.count("compacted")
		}
		return n
	}
	start := time.Now()
	rounds := 0
	for ; compacted() < 3; rounds++ {
		if rounds > 200 {
			t.Fatalf("no watch has missed anything in %d rounds", rounds)
		}
		network.Set(faultnet.Rules{Cut: true})
		r, err := operator.client.Put(t.Context(), "here", "")
		if err == nil {
			_, err = operator.client.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
		}
		if err != nil {
			t.Fatal(err)
		}
		network.Heal()
		s.runs(t, 4)
	}
	s.runs(t, 20)
	gap := s.end(start)
	t.Logf("%d grants over %d cuts with a compaction, %d watches had a gap; longest time without a grant %v",
		s.count(), rounds, compacted(), round(gap))
}
