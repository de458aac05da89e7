package ratefaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/ratelimit"
)

// A server stops answering for longer than the timeout. Each decision comes in time, as its limit says for
// then. What was sent meanwhile counts once at most when the server goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	t.Run(stores.Redis, func(t *testing.T) {
		t.Parallel()
		server := testbed.StartRedis(t, nil)
		stopped(t, stores.OfRedis(server), nil, server.Pause, server.Resume)
	})
	t.Run("redis, allowances", func(t *testing.T) {
		t.Parallel()
		server := testbed.StartRedis(t, nil)
		stopped(t, stores.OfRedis(server), &ratelimit.Allowance{Block: 64, Life: 50 * time.Millisecond}, server.Pause, server.Resume)
	})
	t.Run(stores.Etcd, func(t *testing.T) {
		t.Parallel()
		node := testbed.StartEtcd(t, nil).Nodes()[0]
		stopped(t, stores.Store{Kind: stores.Etcd, Addrs: []string{node.Addr()}}, each, node.Pause, node.Resume)
	})
}

func stopped(t *testing.T, s stores.Store, a *ratelimit.Allowance, stop, resume func() error) {
	t.Helper()
	const (
		timeout = 400 * time.Millisecond
		share   = 0.1
	)
	open, closed := counter("open"), counter("closed")
	closed.Down = ratelimit.Closed
	shared := ratelimit.Limit{Name: "shared", N: 100, Per: time.Second, Burst: 50, Down: ratelimit.Share}
	part := ratelimit.Limit{Name: "part", N: 10, Per: time.Second, Burst: 5}
	f := launch(t, 2, orders{
		Store: s, Limits: []ratelimit.Limit{open, closed, shared}, Callers: 8, Timeout: timeout, Share: share, Allowance: a,
	})
	f.served(t, 30)
	suite.Must(t, stop())
	began := time.Now()
	time.Sleep(4 * timeout)
	ended := time.Now()
	suite.Must(t, resume())
	f.served(t, 30)
	o := f.end(t)

	o.inTime(t, timeout)
	silence := o.where(func(e *entry) bool { return e.From > began.UnixMicro() && e.To < ended.UnixMicro() })
	if n := silence.engine().calls(); n > 0 {
		t.Errorf("the engine has made %d decisions while it was stopped", n)
	}
	down := o.fallback()
	for _, l := range []ratelimit.Limit{open, closed, shared} {
		of := down.of(l.Name)
		yes := of.where(func(e *entry) bool { return e.Allowed }).calls()
		t.Logf("%-7s %d of %d let through by the fall-back", l.Name, yes, of.calls())
		if want := map[ratelimit.Down]bool{ratelimit.Open: yes == of.calls(), ratelimit.Closed: yes == 0, ratelimit.Share: yes > 0 && yes < of.calls()}; !want[l.Down] || of.calls() == 0 {
			t.Errorf("%s: %d of %d let through by the fall-back", l.Name, yes, of.calls())
		}
	}
	for _, one := range o.each {
		got := one.fallback().of(shared.Name).where(func(e *entry) bool { return e.Allowed })
		if err := got.passed().Check(part, 0); err != nil {
			t.Errorf("the share of a process: %v", err)
		}
	}
	var beyond int64
	if a != nil {
		beyond = beside(shared, 2, *a)
	}
	if err := o.of(shared.Name).counted().passed().Check(shared, beyond); err != nil {
		t.Errorf("counted: %v", err)
	}
	for _, l := range []ratelimit.Limit{open, closed} {
		o.countedOnce(t, s, l, a)
	}
	t.Logf("the longest decision took %v, with a timeout of %v; %d by the fall-back", round(o.longest()), timeout, down.calls())
}
