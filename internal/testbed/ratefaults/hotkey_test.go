package ratefaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/ratelimit"
)

const (
	processes = 4
	callers   = 64 // of each

	// asking is for how long they call. Whole windows fit into it.
	asking = 1600 * time.Millisecond
	window = asking / 4
)

// way is how processes call for hot keys.
type way struct {
	name      string
	limits    []ratelimit.Limit
	allowance *ratelimit.Allowance
	slack     int64 // units that may be let through beyond the limits
}

// ways returns those that are tried on a store, at rates that it can bear on a small machine.
func ways(s stores.Store) []way {
	each, hot := int64(200), int64(10_000) // a second
	if s.Kind == stores.Etcd {
		each, hot = 50, 2_000
	}
	per := func(second int64) int64 { return second * int64(window) / int64(time.Second) }
	bucket := ratelimit.Limit{Name: "bucket", N: per(hot), Per: window, Burst: hot / 2}
	strict := ratelimit.Limit{Name: "strict", N: per(hot), Per: window, Algorithm: ratelimit.StrictWindow}
	ahead := ratelimit.Allowance{Block: 256, Life: window / 4}
	kept := ahead
	kept.Strict = true
	return []way{
		{"plain", []ratelimit.Limit{
			{Name: "bucket", N: per(each), Per: window, Burst: each / 5},
			{Name: "fixed", N: per(each), Per: window, Algorithm: ratelimit.FixedWindow},
			{Name: "sliding", N: per(each), Per: window, Algorithm: ratelimit.SlidingWindow},
			{Name: "strict", N: per(each), Per: window, Algorithm: ratelimit.StrictWindow},
		}, exact(s), 0},
		{"allowances", []ratelimit.Limit{bucket}, &ahead, beside(bucket, processes, ahead)},
		{"strict allowances", []ratelimit.Limit{bucket, strict}, &kept, 0},
	}
}

// Many goroutines of several processes call for one key. Together they never get more than the limit
// promises for any time, and they get what it promises.
func TestHotKey(t *testing.T) {
	for kind, servers := range map[string]func(t *testing.T) stores.Store{
		stores.Redis:   func(t *testing.T) stores.Store { return stores.OfRedis(testbed.StartRedis(t, nil)) },
		stores.Cluster: func(t *testing.T) stores.Store { return stores.OfCluster(testbed.StartCluster(t, nil), 0) },
		stores.Etcd:    func(t *testing.T) stores.Store { return stores.OfEtcd(testbed.StartEtcd(t, nil)) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := servers(t)
			for _, w := range ways(s) {
				t.Run(w.name, func(t *testing.T) { hotKey(t, s, w) })
			}
		})
	}
}

func hotKey(t *testing.T, s stores.Store, w way) {
	t.Helper()
	for i := range w.limits { // keys of its own
		w.limits[i].Name += "." + w.name[:1]
	}
	f := launch(t, processes, orders{
		Store: s, Limits: w.limits, Callers: callers / len(w.limits), Timeout: patience, Allowance: w.allowance,
	})
	time.Sleep(asking)
	o := f.end(t)
	if n := o.fallback().calls(); n > 0 {
		t.Errorf("%d calls were not answered", n)
	}
	seconds := o.took.Seconds()
	for _, l := range w.limits {
		got := o.of(l.Name).counted()
		if err := got.passed().Check(l, w.slack); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		t.Logf("%-10s %.0f units a second of %.0f; %.0f decisions a second, %.0f of them by the engine",
			l.Name, float64(got.calls())/seconds, rate(l), float64(o.of(l.Name).calls())/seconds, float64(o.of(l.Name).engine().calls())/seconds)
		if least := least(l, w.allowance, o.took); got.calls() < least {
			t.Errorf("%s: %d units in %v, want %d", l.Name, got.calls(), round(o.took), least)
		}
	}
	t.Logf("%.0f requests a second", float64(o.requests)/seconds)
}

// beside is how many units so many processes with allowances may let through beyond a limit: those that
// they can hold at once, or that come while they live, rounded up.
func beside(l ratelimit.Limit, processes int64, a ratelimit.Allowance) int64 {
	return min(processes*a.Block, (l.N*int64(a.Life)+int64(l.Per)-1)/int64(l.Per))
}

// rate is how many units come in a second.
func rate(l ratelimit.Limit) float64 { return float64(l.N) / l.Per.Seconds() }

// least returns how many units callers that always ask get in a time. A tenth of it is for the machine:
// they are slow to come back while others work. What was taken ahead may be in hand at the end, and a
// strict window counts what was taken for as long as it may be spent.
func least(l ratelimit.Limit, a *ratelimit.Allowance, took time.Duration) int64 {
	var hand int64
	if a != nil {
		hand = processes * a.Block
	}
	if a != nil && a.Strict && l.Algorithm == ratelimit.StrictWindow {
		l.Per += a.Life
	}
	return backendtest.AtLeast(l, took*9/10) - hand
}
