package memberfaults

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// company is a watcher, and members enough that one that vanishes is not most of them.
func company(t *testing.T, s stores.Store, ttl time.Duration) (*process, *watcher) {
	t.Helper()
	p := open(t, s, ttl, nil)
	w := watch(t, p)
	for _, id := range []string{"a", "b", "c"} {
		join(t, p, id)
	}
	w.settles(t, 3)
	return p, w
}

// A member that dies is shown until its TTL is over, and not for much longer.
func TestKilledMemberIsGone(t *testing.T) {
	t.Parallel()
	for kind, servers := range map[string]func(t *testing.T) stores.Store{
		stores.Redis:    func(t *testing.T) stores.Store { return stores.OfRedis(testbed.StartRedis(t, nil)) },
		stores.Sentinel: func(t *testing.T) stores.Store { return stores.OfSentinel(testbed.StartSentinel(t, nil), 1) },
		stores.Cluster:  func(t *testing.T) stores.Store { return stores.OfCluster(testbed.StartCluster(t, nil), 0) },
		stores.Etcd:     func(t *testing.T) stores.Store { return stores.OfEtcd(testbed.StartEtcd(t, nil)) },
		"etcd 3": func(t *testing.T) stores.Store {
			return stores.OfEtcd(testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3}))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const ttl, rounds = leastTTL, 3
			s := servers(t)
			p, w := company(t, s, ttl)
			most := ttl + p.Leases().Capabilities().ExpiryLate + lease.MaxNotice
			var took []time.Duration
			for i := range rounds {
				c := startMember(t, s, "child", ttl)
				w.settles(t, 4)
				time.Sleep(time.Duration(i) * ttl * 3 / 20) // up to its next renewal
				c.Signal(os.Kill)
				killed := time.Now()
				if err := c.End(); err == nil {
					t.Error("the member ended in good order")
				}
				gone := w.sees(t, "the dead member is gone", killed, func(v *sighting) bool { return !v.has("child") })
				d := gone.at.Sub(killed)
				// It had been renewed a third of the TTL before at most, plus one attempt.
				if least := ttl*2/3 - ttl/6; d < least || d > most+slack {
					t.Errorf("gone %v after the death, want %v to %v", d, least, most)
				}
				if len(gone.Members) != 3 || gone.Stale != nil {
					t.Errorf("then %d members are shown, %v", len(gone.Members), gone.Stale)
				}
				took = append(took, round(d))
			}
			t.Logf("gone after %v, with a TTL of %v (bound %v)", took, ttl, most)
		})
	}
}

// A member that was paused past its TTL is gone meanwhile. When it goes on it says that it was lost, and
// joins again.
func TestPausedMemberJoinsAgain(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl = leastTTL
		_, w := company(t, s, ttl)
		c := startMember(t, s, "child", ttl)
		w.settles(t, 4)
		c.Signal(syscall.SIGSTOP)
		paused := time.Now()
		gone := w.sees(t, "the paused member is gone", paused, func(v *sighting) bool { return !v.has("child") })
		c.Signal(syscall.SIGCONT)
		resumed := time.Now()
		cause := c.Says("lost")
		if cause != membership.Expired.String() && cause != membership.Unreachable.String() {
			t.Errorf("cause %q, want expired or unreachable", cause)
		}
		if again := c.Says("joined"); again != "true" {
			t.Errorf("joined again: %s", again)
		}
		back := w.sees(t, "the member is back", resumed, func(v *sighting) bool { return v.has("child") })
		if d := back.at.Sub(resumed); d > rejoins(s, ttl)+slack {
			t.Errorf("back after %v, want %v", d, rejoins(s, ttl))
		}
		t.Logf("gone %v after it was paused, back %v after it went on; lost: %s", round(gone.at.Sub(paused)), round(back.at.Sub(resumed)), cause)
	})
}

// A member that is asked to end is gone at once, however long its TTL.
func TestTerminatedMemberIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl = time.Minute
		_, w := company(t, s, ttl)
		c := startMember(t, s, "child", ttl)
		w.settles(t, 4)
		asked := time.Now()
		c.Signal(syscall.SIGTERM)
		gone := w.sees(t, "the member is gone", asked, func(v *sighting) bool { return !v.has("child") })
		d := gone.at.Sub(asked)
		if d > time.Second+slack {
			t.Errorf("gone after %v", d)
		}
		if gone.Stale != nil {
			t.Errorf("the view is in doubt: %v", gone.Stale)
		}
		if err := c.End(); err != nil {
			t.Errorf("the member ended with %v", err)
		}
		t.Logf("gone %v after the signal", round(d))
	})
}

// While a member was paused another process has taken its ID. It stays away when it goes on, and the
// successor stays.
func TestPausedMemberLeavesItsSuccessorAlone(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl = leastTTL
		p, w := company(t, s, ttl)
		c := startMember(t, s, "child", ttl)
		w.settles(t, 4)
		c.Signal(syscall.SIGSTOP)
		start := time.Now()
		successor := member("child")
		successor.Addr = "successor:80"
		r, err := p.Join(suite.Soon(t), successor)
		suite.Must(t, err)
		took := time.Since(start)
		late := p.Leases().Capabilities().ExpiryLate
		if took > ttl+late+slack {
			t.Errorf("the successor joined after %v, want %v", took, ttl+late)
		}
		c.Signal(syscall.SIGCONT)
		resumed := time.Now()
		c.Says("lost")
		if duplicate := c.Says("away"); duplicate != "true" {
			t.Errorf("it stays away for another reason than a duplicate")
		}
		away := time.Since(resumed)
		if !r.Valid(0) || r.Context().Err() != nil {
			t.Errorf("the successor was lost: %v", r.Context().Err())
		}
		last := w.settles(t, 4)
		if m := last.Members[3]; m.ID != "child" || m.Addr != successor.Addr {
			t.Errorf("shown is %+v, want the successor", m)
		}
		c.Signal(syscall.SIGTERM)
		if err := c.End(); err != nil {
			t.Errorf("the former member ended with %v", err)
		}
		if !r.Valid(0) {
			t.Error("the end of the former member has ended the successor")
		}
		t.Logf("the successor joined %v after the pause, the former one stayed away %v after it went on", round(took), round(away))
	})
}
