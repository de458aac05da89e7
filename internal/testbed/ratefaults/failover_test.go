package ratefaults

import (
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/ratelimit"
)

// failing is a limit whose burst takes longer to come back than a fail-over.
var failing = ratelimit.Limit{Name: "failing", N: 20, Per: time.Second, Burst: 400, Down: ratelimit.Closed}

// The server that keeps a hot key is replaced under load. Each decision comes in time, and the engine
// decides again. Where the heir knows all, no more is let through than ever; where it may not, at most one
// burst more, once: with the state that it has, or none, it is a limit of its own.
func TestFailover(t *testing.T) {
	t.Parallel()
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		servers := testbed.StartSentinel(t, nil)
		failover(t, stores.OfSentinel(servers, 0), 0, failing.Burst, func() (kill, heir func()) {
			old, err := servers.Primary()
			suite.Must(t, err)
			return old.Kill, func() {
				_, err := servers.WaitPrimary(suite.Soon(t), old)
				suite.Must(t, err)
			}
		})
	})
	t.Run("sentinel, nothing replicated", func(t *testing.T) {
		t.Parallel()
		servers := testbed.StartSentinel(t, nil)
		old, err := servers.Primary()
		suite.Must(t, err)
		for _, command := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
			_, err := old.Command(strings.Fields(command)...)
			suite.Must(t, err)
		}
		suite.Wait(t, "no replica follows", func() bool {
			info, err := old.Info("replication")
			return err == nil && info["connected_slaves"] == "0"
		})
		failover(t, stores.OfSentinel(servers, 0), failing.Burst/2, failing.Burst, func() (kill, heir func()) {
			return old.Kill, func() {
				_, err := servers.WaitPrimary(suite.Soon(t), old)
				suite.Must(t, err)
			}
		})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		servers := testbed.StartCluster(t, nil)
		failover(t, stores.OfCluster(servers, 0), 0, failing.Burst, func() (kill, heir func()) {
			var home *testbed.Redis
			for _, r := range servers.Nodes()[:3] {
				size, err := r.Command("DBSIZE")
				suite.Must(t, err)
				if size != "0" {
					home = r
				}
			}
			return home.Kill, func() {
				_, err := servers.WaitFailover(suite.Soon(t), home)
				suite.Must(t, err)
			}
		})
	})
	t.Run("etcd 3", func(t *testing.T) {
		t.Parallel()
		servers := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
		failover(t, stores.OfEtcd(servers), 0, 0, func() (kill, heir func()) {
			leader, err := servers.Leader()
			suite.Must(t, err)
			return leader.Kill, func() {
				suite.Wait(t, "another leads", func() bool {
					next, err := servers.Leader()
					return err == nil && next != leader
				})
			}
		})
	})
}

// failover has processes call while a server is killed and until its heir has served them. Beyond the limit
// at least and at most so many units may be let through.
func failover(t *testing.T, s stores.Store, least, most int64, harm func() (kill, heir func())) {
	t.Helper()
	const timeout = 400 * time.Millisecond
	served := int64(20)
	if most > 0 {
		served = failing.Burst // the burst is used up, so that it shows if that is forgotten
	}
	f := launch(t, 2, orders{Store: s, Limits: []ratelimit.Limit{failing}, Callers: 8, Timeout: timeout, Allowance: exact(s)})
	f.served(t, served)
	kill, heir := harm()
	killing := time.Now()
	kill()
	killed := time.Now()
	heir()
	replaced := time.Now()
	f.served(t, served)
	o := f.end(t)

	o.inTime(t, timeout)
	got := o.counted()
	if err := got.until(killing).passed().Check(failing, 0); err != nil {
		t.Errorf("before: %v", err)
	}
	if err := got.since(killed).passed().Check(failing, 0); err != nil {
		t.Errorf("after: %v", err)
	}
	if err := got.passed().Check(failing, most); err != nil {
		t.Errorf("over the fail-over: %v", err)
	}
	beyond := got.calls() - failing.Burst - int64(rate(failing)*o.took.Seconds())
	if beyond < least && least > 0 {
		t.Errorf("%d beyond the limit, want %d to %d: nothing was forgotten, so the test shows nothing", beyond, least, most)
	}
	down := o.fallback()
	if down.calls() == 0 {
		t.Error("the fall-back has decided nothing: the fault has not hit")
	}
	if n := down.where(func(e *entry) bool { return e.Allowed }).calls(); n > 0 {
		t.Errorf("a closed limit has let %d through", n)
	}
	back := o.engine().since(killed).first()
	t.Logf("replaced after %v, served again after %v; %d by the fall-back, the longest decision took %v; %d let through, %d beyond the limit",
		round(replaced.Sub(killed)), round(back.Sub(killed)), down.calls(), round(o.longest()), got.calls(), max(beyond, 0))
}
