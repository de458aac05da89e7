package ratefaults

import (
	"bytes"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/ratelimit"
)

// countedOnce checks that the engine has counted each call that was let through, and of those that were not
// answered each once at most: with allowances, a block once at most.
func (o *outcome) countedOnce(t *testing.T, s stores.Store, l ratelimit.Limit, a *ratelimit.Allowance) {
	t.Helper()
	block := int64(1)
	if a != nil {
		block = a.Block
	}
	through, unknown := o.of(l.Name).counted().calls(), o.of(l.Name).fallback().calls()
	most := through + unknown*block
	if block > 1 { // of which the rest could not be given back
		most += int64(len(o.each)) * block
	}
	all := used(t, s, l)
	if all < through || all > most {
		t.Errorf("%s: %d units are counted, want %d to %d", l.Name, all, through, most)
	}
	t.Logf("%s: %d let through, %d not answered, %d counted", l.Name, through, unknown, all)
}

// Connections lose replies and are reset. A call counts once if it is let through, and once at most if
// it is not answered: nothing is sent again that may have been executed.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		start  func(t *testing.T) (addr string, at func(addr string) stores.Store)
		faults faultnet.Faults
		after  func(request []byte) bool
	}{
		{stores.Redis, redisAt, faultnet.Faults{Lose: 0.005, Reset: 0.02}, evaluates},
		{stores.Etcd, etcdAt, faultnet.Faults{Reset: 0.005}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const timeout = 300 * time.Millisecond
			addr, at := c.start(t)
			n := faultnet.New(faultnet.Seed(t))
			t.Cleanup(n.Close)
			p, err := n.Proxy(addr)
			suite.Must(t, err)
			far := at(p.Addr())
			l := counter("total")
			f := launch(t, 2, orders{Store: far, Limits: []ratelimit.Limit{l}, Callers: 8, Timeout: timeout, Allowance: exact(far)})
			f.served(t, 30)
			n.Set(faultnet.Rules{Replies: c.faults, After: c.after})
			suite.Must(t, n.Await(suite.Soon(t), func(c faultnet.Counts) bool { return c.Replies.Lost+c.Replies.Resets >= 8 }))
			f.served(t, 30)
			n.Heal()
			f.served(t, 30)
			o := f.end(t)

			o.inTime(t, timeout)
			if o.fallback().calls() == 0 {
				t.Error("all calls were answered: the fault has not hit")
			}
			o.countedOnce(t, at(addr), l, exact(far))
			counts := n.Counts()
			t.Logf("%d connections have lost replies, %d were reset", counts.Replies.Lost, counts.Replies.Resets)
		})
	}
}

func redisAt(t *testing.T) (addr string, at func(addr string) stores.Store) {
	t.Helper()
	return testbed.StartRedis(t, nil).Addr(), func(addr string) stores.Store {
		return stores.Store{Kind: stores.Redis, Addrs: []string{addr}}
	}
}

func etcdAt(t *testing.T) (addr string, at func(addr string) stores.Store) {
	t.Helper()
	return testbed.StartEtcd(t, nil).Nodes()[0].Addr(), func(addr string) stores.Store {
		return stores.Store{Kind: stores.Etcd, Addrs: []string{addr}}
	}
}

// evaluates reports whether a request runs a script; connections get ready before.
func evaluates(request []byte) bool { return bytes.Contains(bytes.ToLower(request), []byte("evalsha")) }
