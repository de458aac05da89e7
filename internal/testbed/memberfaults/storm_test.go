package memberfaults

import (
	"slices"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/membership"
)

// A thousand members join at the same time, are all cut off for longer than their TTL, and are back when
// the network is. A watcher that is not cut off shows them for half the TTL more, with a doubt. Where several
// servers share the machine there are two hundred. The test runs alone: a crowd keeps a small machine busy.
func TestThousandMembers(t *testing.T) {
	for _, c := range []struct {
		kind    string
		each    int // members of each of 20 processes
		ttl     time.Duration
		servers func(t *testing.T) stores.Store
	}{
		{stores.Redis, 50, 3 * time.Second, func(t *testing.T) stores.Store { return stores.OfRedis(testbed.StartRedis(t, nil)) }},
		{stores.Sentinel, 10, 3 * time.Second, func(t *testing.T) stores.Store { return stores.OfSentinel(testbed.StartSentinel(t, nil), 0) }},
		{stores.Cluster, 10, 3 * time.Second, func(t *testing.T) stores.Store { return stores.OfCluster(testbed.StartCluster(t, nil), 0) }},
		{stores.Etcd, 50, 3 * time.Second, func(t *testing.T) stores.Store { return stores.OfEtcd(testbed.StartEtcd(t, nil)) }},
		{"etcd 3", 10, 4 * time.Second, func(t *testing.T) stores.Store {
			return stores.OfEtcd(testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3}))
		}},
	} {
		t.Run(c.kind, func(t *testing.T) { thousandMembers(t, c.servers(t), c.each, c.ttl) })
	}
}

func thousandMembers(t *testing.T, s stores.Store, each int, ttl time.Duration) {
	const processes = 20
	n := processes * each
	p := open(t, s, ttl, nil)
	w := watch(t, p)
	network, sent := newNetwork(t), &stores.Calls{}

	began := time.Now()
	list, took := crowd(t, s, processes, each, ttl, &stores.Route{Network: network, Calls: sent})
	all, requests := time.Since(began), float64(sent.Sent())/float64(n)
	seen := w.settles(t, n)
	for _, q := range list {
		suite.Wait(t, "every process sees all", func() bool {
			members, err := q.Members(suite.Soon(t))
			return err == nil && len(members) == n
		})
	}
	t.Logf("joined within %v (p50 %v, p99 %v) with %.1f requests each; shown after %v, in %d views",
		round(all), quantile(took, 50), quantile(took, 99), requests, round(seen.at.Sub(began)), len(w.shown()))

	network.Set(faultnet.Rules{Cut: true})
	defer network.Heal()
	cut := time.Now()
	none := w.sees(t, "all are gone", cut, func(v *sighting) bool { return len(v.Members) == 0 })
	views := w.since(cut)
	first := views[slices.IndexFunc(views, func(v sighting) bool { return v.at.After(cut) })]
	if !doubts(views, membership.ErrVanished) {
		t.Error("no view says that members have vanished")
	}
	late := p.Leases().Capabilities().ExpiryLate
	// The first view that tells of it comes when the first that vanished have been judged.
	if d, least := none.at.Sub(first.at), ttl/2-min(ttl/8, time.Second)-noted; d < least {
		t.Errorf("all were gone %v after the first, want %v", d, least)
	}
	if d, most := none.at.Sub(cut), ttl+late+ttl/2+slack; d > most {
		t.Errorf("all were gone after %v, want %v", d, most)
	}
	t.Logf("the first had vanished %v after the cut, none was shown after %v", round(first.at.Sub(cut)), round(none.at.Sub(cut)))

	before := sent.Sent()
	network.Heal()
	healed := time.Now()
	back := w.settles(t, n)
	d, most := back.at.Sub(healed), 2*rejoins(s, ttl)
	if d > most+slack {
		t.Errorf("all were back after %v, want %v", d, most)
	}
	t.Logf("all were back %v after the network (bound %v) with %.1f requests each; ends %v",
		round(d), most, float64(sent.Sent()-before)/float64(n), causes(list...))
}
