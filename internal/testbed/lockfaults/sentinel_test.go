package lockfaults

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// failoverTTL is the TTL of those who take turns while a primary goes.
const failoverTTL = 6 * time.Second

func sentinelLockers(t *testing.T, s *testbed.Sentinel) (list []*lock.Locker) {
	for range 7 {
		list = append(list, newSentinelProcess(t, s, &lock.Options{TTL: failoverTTL}, 0).locks)
	}
	return list
}

func thePrimary(t *testing.T, s *testbed.Sentinel) *testbed.Redis {
	t.Helper()
	r, err := s.Primary()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSentinelPrimaryKilledUnderLoad(t *testing.T) {
	s := startSentinel(t, nil)
	keys := []string{"a", "b"}
	load := startTurns(t, keys, sentinelLockers(t, s)...)
	load.runs(t, 50, keys...)
	old := thePrimary(t, s)
	killed := time.Now()
	old.Kill()
	heir, err := s.WaitPrimary(soon(t), old)
	if err != nil {
		t.Fatal(err)
	}
	elected := time.Since(killed)
	load.runs(t, 50, keys...)
	load.end(t)
	gap := load.gap(killed, keys...)
	if heir == old || gap < time.Second/2 {
		t.Errorf("%s follows on %s, %v without a grant: nothing has failed", heir.Addr(), old.Addr(), gap)
	}
	if gap > elected+liveness(failoverTTL, 3*time.Second)+slack {
		t.Errorf("%v without a grant", gap)
	}
	t.Logf("another primary after %v, longest time without a grant %v", round(elected), round(gap))
}

func TestSentinelFailoverOnRequestUnderLoad(t *testing.T) {
	s := startSentinel(t, nil)
	keys := []string{"a", "b"}
	load := startTurns(t, keys, sentinelLockers(t, s)...)
	load.runs(t, 50, keys...)
	old := thePrimary(t, s)
	asked := time.Now()
	heir, err := s.Failover(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	elected := time.Since(asked)
	if err := s.WaitReplica(soon(t), old); err != nil {
		t.Fatal(err)
	}
	demoted := time.Since(asked)
	load.runs(t, 50, keys...)
	load.end(t)
	if heir == old || number(t, old, "replication", "role") != "slave" {
		t.Errorf("%s follows on %s", heir.Addr(), old.Addr())
	}
	gap := load.gap(asked, keys...)
	if gap > demoted+liveness(failoverTTL, 3*time.Second)+slack {
		t.Errorf("%v without a grant", gap)
	}
	t.Logf("another primary after %v, the old one a replica after %v, longest time without a grant %v",
		round(elected), round(demoted), round(gap))
}

// With one replica that confirms each grant, and becomes the primary, no grant is lost.
func TestHistoryOfContentionOverASentinelFailover(t *testing.T) {
	s := startSentinel(t, nil)
	join := func(o *lock.Options) *lock.Locker { return newSentinelProcess(t, s, o, 1).locks }
	w := contention
	w.hold = 20 * time.Millisecond
	until := make(chan struct{})
	w.until = until
	var failovers atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(until)
		ctx := soon(t)
		pause(ctx, time.Second)
		old, err := s.Primary()
		if err != nil {
			t.Error(err)
			return
		}
		old.Kill()
		if _, err := s.WaitPrimary(ctx, old); err != nil {
			t.Error(err)
			return
		}
		if err := old.Restart(); err != nil {
			t.Error(err)
			return
		}
		if err := s.WaitReplica(ctx, old); err != nil {
			t.Error(err)
			return
		}
		failovers.Add(1)
		pause(ctx, time.Second) // grants go on
	}()
	w.run(t, join, func() []hit {
		<-done
		return []hit{{"fail-overs", int(failovers.Load())}}
	})
}

// A primary that was paused goes on as one until the sentinels have told it.
func TestSentinelSplitBrain(t *testing.T) {
	const ttl = 6 * time.Second
	s := startSentinel(t, &testbed.SentinelOptions{DemoteAfter: 4 * time.Second})
	old := thePrimary(t, s)
	cutOff := newProcess(t, old.Addr(), &lock.Options{TTL: ttl})
	strict := newProcessOf(t, redis.NewClient(recommended.Redis(old.Addr())), &lock.Options{TTL: ttl}, 1)
	other := newSentinelProcess(t, s, &lock.Options{TTL: ttl}, 0)
	release(t, strict.acquire(t, "warm")) // while there is a replica

	if err := old.Pause(); err != nil {
		t.Fatal(err)
	}
	heir, err := s.WaitPrimary(soon(t), old)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Resume(); err != nil {
		t.Fatal(err)
	}
	early := cutOff.acquire(t, "k")
	acquired := time.Now()
	late := other.acquire(t, "k")
	if number(t, old, "replication", "role") != "master" || number(t, heir, "replication", "role") != "master" {
		t.Fatal("there are not two primaries: the test shows nothing")
	}
	if !early.Valid(0) || !late.Valid(0) {
		t.Errorf("believed: %t and %t, want both: the test shows nothing", early.Valid(0), late.Valid(0))
	}
	if late.Token() <= early.Token() {
		t.Errorf("token %v after %v", late.Token(), early.Token())
	}
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ends(t, be.Close)
	if err := be.Fences().Raise(t.Context(), "data", late.Token()); err != nil {
		t.Error(err)
	}
	if err := be.Fences().Raise(t.Context(), "data", early.Token()); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("the holder on the old primary: %v, want it fenced", err)
	}

	// Who asks for a replica's confirmation gets nothing there.
	start := time.Now()
	_, err = strict.locks.TryAcquire(t.Context(), "k2")
	var short *redisbackend.ReplicasError
	if !errors.As(err, &short) || !errors.Is(err, lock.ErrUncertain) || short.Got != 0 {
		t.Errorf("with WaitReplicas on the old primary: %v, want uncertain, 0 replicas", err)
	}
	t.Logf("with WaitReplicas: %v after %v", err, round(time.Since(start)))

	if err := s.WaitReplica(soon(t), old); err != nil {
		t.Fatal(err)
	}
	demoted := time.Since(acquired)
	lost, at := lossOf(t, early)
	if lost.Cause != lock.BackendLost || at.Sub(acquired) > demoted+ttl/3+slack {
		t.Errorf("%v after %v, want backend lost a third of the TTL after the old primary was told", lost, at.Sub(acquired))
	}
	// A client that stays there is told at once that it cannot write, and gives up in time.
	start = time.Now()
	_, err = cutOff.locks.TryAcquire(t.Context(), "other")
	took := time.Since(start)
	if !errors.Is(err, lock.ErrUnavailable) || !redis.IsReadOnlyError(err) {
		t.Errorf("acquire on a replica: %v, want unavailable and READONLY", err)
	}
	if took > ttl/3+time.Second+slack {
		t.Errorf("acquire on a replica failed after %v", took)
	}
	if !late.Valid(0) {
		t.Errorf("the holder on the new primary: %v", context.Cause(late.Context()))
	}
	release(t, late)
	t.Logf("two holders at once; the old primary was a replica after %v, its holder stopped after %v; then %v: %v",
		round(demoted), round(at.Sub(acquired)), round(took), err)
}

// The grant and the release that the new primary does not know of.
func TestSentinelFailoverLosesWhatWasNotReplicated(t *testing.T) {
	const ttl = 8 * time.Second
	s := startSentinel(t, nil)
	p, other := newSentinelProcess(t, s, &lock.Options{TTL: ttl}, 0), newSentinelProcess(t, s, &lock.Options{TTL: ttl}, 0)
	released := p.acquire(t, "released")
	if err := s.WaitSynced(soon(t)); err != nil {
		t.Fatal(err)
	}
	old := thePrimary(t, s)
	renewed := time.Now()
	cutReplicas(t, old)
	early := p.acquire(t, "granted")
	granted := time.Now()
	release(t, released)
	old.Kill()
	if _, err := s.WaitPrimary(soon(t), old); err != nil {
		t.Fatal(err)
	}
	late := other.acquire(t, "granted")
	at := time.Now()
	believed := early.Valid(0)
	if late.Token() <= early.Token() {
		t.Errorf("token %v after %v", late.Token(), early.Token())
	}
	lost, noticed := lossOf(t, early)
	if lost.Cause != lock.BackendLost {
		t.Errorf("%v, want backend lost", lost)
	}
	if d := noticed.Sub(at); d > ttl/3+slack {
		t.Errorf("noticed %v after the next grant, want at most a third of the TTL", d)
	}
	again := other.acquire(t, "released")
	blocked := time.Since(granted)
	if blocked > ttl+liveness(0, 0)+slack || time.Since(renewed) < ttl/2 {
		t.Errorf("blocked for %v after its release, want the rest of the TTL", blocked)
	}
	if again.Token() <= released.Token() {
		t.Errorf("token %v after %v", again.Token(), released.Token())
	}
	release(t, late)
	release(t, again)
	t.Logf("granted again after %v while believed: %t, noticed %v later; the lost release blocked for %v",
		round(at.Sub(granted)), believed, round(noticed.Sub(at)), round(blocked))
}

// Waiters keep their place over a fail-over, subscribe to the new primary, and are told.
func TestSentinelWaitersOutliveAFailover(t *testing.T) {
	for _, kill := range []bool{true, false} {
		name := map[bool]string{true: "killed", false: "on request"}[kill]
		t.Run(name, func(t *testing.T) {
			opt := &lock.Options{TTL: 15 * time.Second}
			s := startSentinel(t, nil)
			holder := newSentinelProcess(t, s, opt, 0)
			held := holder.acquire(t, "k")
			var waiting []<-chan got
			for range 3 {
				waiting = append(waiting, newSentinelProcess(t, s, opt, 0).later(t, "k"))
			}
			if err := s.WaitSynced(soon(t)); err != nil {
				t.Fatal(err)
			}
			old := thePrimary(t, s)
			gone := time.Now()
			var heir *testbed.Redis
			var err error
			if kill {
				old.Kill()
				heir, err = s.WaitPrimary(soon(t), old)
			} else if heir, err = s.Failover(soon(t)); err == nil {
				err = s.WaitReplica(soon(t), old)
			}
			if err != nil {
				t.Fatal(err)
			}
			wait(t, "every waiter has subscribed again", func() bool {
				return len(subscribers(t, heir)) >= len(waiting)
			})
			subscribed := time.Since(gone)
			if !held.Valid(0) {
				t.Errorf("the holder: %v", context.Cause(held.Context()))
			}
			last := held.Token()
			start := time.Now()
			release(t, held)
			for i, result := range waiting {
				g := await(t, result)
				if g.Token() <= last {
					t.Errorf("waiter %d: token %v after %v", i, g.Token(), last)
				}
				last = g.Token()
				release(t, g.Lease)
			}
			took := time.Since(start)
			// Each release may meet a broken connection first. A heartbeat comes every 4 s at least.
			if took > 3*time.Second {
				t.Errorf("%d hand-overs took %v: the waiters were not told", len(waiting), took)
			}
			t.Logf("subscribed again %v after the primary went, %d hand-overs in %v", round(subscribed), len(waiting), round(took))
		})
	}
}
