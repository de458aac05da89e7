package electionfaults

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// The leader dies, and one of those who wait follows when its TTL has passed.
func TestKilledLeaderIsFollowed(t *testing.T) {
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
			var took []time.Duration
			for i := range rounds {
				leader, term := startLeader(t, s, ttl, 0)
				c := newChronicle(t)
				list := start(t, s, c, 3, election.Options{TTL: ttl})
				waiting(t, list[0], 3)
				time.Sleep(time.Duration(i) * ttl * 3 / 20) // up to its next renewal
				leader.Signal(os.Kill)
				killed := time.Now()
				if err := leader.End(); err == nil {
					t.Error("the leader ended in good order")
				}
				next := c.led(t)
				d := next.began.Sub(killed)
				// It had been renewed a third of the TTL before at most, plus one attempt.
				if least := ttl*2/3 - ttl/6; d < least || d > takeOver(s, ttl)+slack {
					t.Errorf("led %v after the death, want %v to %v", d, least, takeOver(s, ttl))
				}
				if next.term <= term {
					t.Errorf("term %v after %v", next.term, term)
				}
				took = append(took, round(d))
				for _, p := range list {
					p.stop()
				}
				c.check(t, orderly)
			}
			t.Logf("led after %v, with a TTL of %v (bound %v)", took, ttl, takeOver(s, ttl))
		})
	}
}

// A leader that was paused past its TTL knows at once when it goes on, and what it writes is refused.
func TestPausedLeaderIsFencedOut(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl = leastTTL
		leader, term := startLeader(t, s, ttl, 0)
		leader.Tell("write")
		if got := leader.Says("fenced"); got != "false <nil>" {
			t.Fatalf("the leader's own write: %s", got)
		}
		c := newChronicle(t)
		list := start(t, s, c, 2, election.Options{TTL: ttl})
		waiting(t, list[0], 2)
		leader.Signal(syscall.SIGSTOP)
		paused := time.Now()
		next := c.led(t)
		if d := next.began.Sub(paused); d > takeOver(s, ttl)+slack {
			t.Errorf("led %v after the leader was paused", d)
		}
		if next.term <= term {
			t.Errorf("term %v after %v", next.term, term)
		}
		suite.Must(t, write(t.Context(), of(list, next.id).Node, next.term, "ours"))

		resumed := time.Now()
		leader.Signal(syscall.SIGCONT)
		cause := leader.Says("ended")
		told := time.Since(resumed)
		if cause != election.Expired.String() && cause != election.Unreachable.String() {
			t.Errorf("cause %q, want expired or unreachable", cause)
		}
		if told > slack {
			t.Errorf("the context of the paused leader ended %v after it went on", told)
		}
		leader.Tell("look")
		if got := leader.Says("alive"); got != "false" {
			t.Error("the paused leader believes in its term")
		}
		leader.Tell("write")
		if got := leader.Says("fenced"); !strings.HasPrefix(got, "true ") {
			t.Errorf("the late write: %s, want it fenced", got)
		}
		if v, err := read(t.Context(), list[0].Node); err != nil || v != "ours" {
			t.Errorf("the data is %q, %v", v, err)
		}
		c.check(t, orderly)
		t.Logf("followed %v after it was paused; told %v after it went on, %s", round(next.began.Sub(paused)), round(told), cause)
	})
}

// A leader that is asked to end hands over when its work has ended, and not before.
func TestTerminatedLeaderHandsOver(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl, windUp = time.Minute, 500 * time.Millisecond
		leader, term := startLeader(t, s, ttl, windUp)
		c := newChronicle(t)
		list := start(t, s, c, 2, election.Options{TTL: ttl})
		waiting(t, list[0], 2)
		leader.Signal(syscall.SIGTERM)
		asked := time.Now()
		if got := leader.Says("ended"); got != election.Resigned.String() {
			t.Errorf("cause %s", got)
		}
		leader.Says("drained")
		if err := leader.End(); err != nil {
			t.Errorf("the leader ended with %v", err)
		}
		next := c.led(t)
		if d := next.began.Sub(asked); d < windUp || d > windUp+slack {
			t.Errorf("led %v after the signal, want %v for the work to end", d, windUp)
		}
		if next.term <= term {
			t.Errorf("term %v after %v", next.term, term)
		}
		c.check(t, orderly)
		t.Logf("led %v after the signal, of which %v were the work's", round(next.began.Sub(asked)), windUp)
	})
}
