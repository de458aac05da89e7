package lockfaults

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// etcdTurmoil has fewer leases that lapse than turmoil: on etcd that takes two seconds at least.
var etcdTurmoil = workload{rounds: 160, tries: 0.2, hasty: 0.2, lapses: 0.02, revoke: true}

// onEtcd joins processes on one cluster, each with a client of its own, made by config.
func onEtcd(t *testing.T, config func() clientv3.Config) func(*lock.Options) *lock.Locker {
	return func(o *lock.Options) *lock.Locker {
		o.TTL = max(o.TTL, leastTTL)
		return newEtcdProcess(t, config(), o).locks
	}
}

func TestHistoryOfContentionOnEtcd(t *testing.T) {
	t.Parallel()
	e := testbed.StartEtcd(t, nil)
	contention.run(t, onEtcd(t, func() clientv3.Config { return recommended.Etcd(e.Endpoints()) }), nil)
}

func TestHistoryOfTurmoilOnEtcd(t *testing.T) {
	t.Parallel()
	w := etcdTurmoil
	w.seed = faultnet.Seed(t)
	e := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
	w.run(t, onEtcd(t, func() clientv3.Config { return recommended.Etcd(e.Endpoints()) }), nil)
}

// The connections of the clients are reset in the place of a request or of a reply. With a request
// all others of the process are lost, and with a reply what its watch had to tell.
func TestHistoryOfTurmoilWithLostRepliesOnEtcd(t *testing.T) {
	t.Parallel()
	w := etcdTurmoil
	w.seed = faultnet.Seed(t)
	e := testbed.StartEtcd(t, nil)
	network := faultnet.New(w.seed)
	t.Cleanup(network.Close)
	const often, late = 0.004, 30 * time.Millisecond
	network.Set(faultnet.Rules{
		After:    contains(strangePrefix),
		Requests: faultnet.Faults{Reset: often / 2},
		Replies:  faultnet.Faults{Reset: often, Jitter: late, LateRate: 0.02},
	})
	w.run(t, onEtcd(t, func() clientv3.Config { return recommended.Dialing(recommended.Etcd(e.Endpoints()), network.DialAddr) }), func() []hit {
		c := network.Counts()
		return []hit{{"lost requests", c.Requests.Resets}, {"lost replies", c.Replies.Resets}, {"late replies", c.Replies.Late}}
	})
}

// strangePrefix is part of every request of the backend, and of none that opens a connection.
const strangePrefix = "concord/1/"

// The leader is killed and paused in turns while clients lock. The TTL is longer than a pause, and
// no lease lapses: see TestEtcdLeaderPausedPastTheTTL.
func TestHistoryOfTurmoilWithLeaderChangesOnEtcd(t *testing.T) {
	t.Parallel()
	w := etcdTurmoil
	w.seed = faultnet.Seed(t)
	w.rounds, w.lapses, w.ttl = 200, 0, 13*time.Second
	e := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
	changes, stopped := 0, make(chan struct{})
	stop, cancel := context.WithCancel(context.Background())
	join := onEtcd(t, func() clientv3.Config { return recommended.Etcd(e.Endpoints()) })
	go func() {
		defer close(stopped)
		for ; changes < 4 && pause(stop, 1500*time.Millisecond); changes++ {
			n, err := e.Leader()
			if err != nil {
				continue // none yet
			}
			if changes%2 == 0 {
				n.Kill()
				pause(stop, 3*time.Second)
				err = n.Restart()
			} else {
				err = n.Pause()
				pause(stop, 3*time.Second)
				_ = n.Resume()
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	w.run(t, join, func() []hit {
		cancel()
		<-stopped
		return []hit{{"changes of the leader", changes}}
	})
}

// pause waits for d and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
