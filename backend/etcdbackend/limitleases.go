package etcdbackend

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// limitLeases are the leases under which states are kept: a few for all of them, each for states that
// last for about as long. They are not renewed.
type limitLeases struct {
	b *Backend

	mu  sync.Mutex
	all map[time.Duration]limitLease
}

type limitLease struct {
	id    clientv3.LeaseID
	until time.Time // it serves for new states
}

// leastLife is the shortest life of a state on the server.
const leastLife = 16 * time.Second

// lasting returns a lease that lasts for longer than life, and not for much more than four times as long.
func (s *limitLeases) lasting(ctx context.Context, life time.Duration) (clientv3.LeaseID, error) {
	class := leastLife
	for class < life+leastLife/2 {
		class *= 2
	}
	s.mu.Lock()
	have := s.all[class]
	s.mu.Unlock()
	if have.id != clientv3.NoLease && time.Now().Before(have.until) {
		return have.id, nil
	}
	start := time.Now()
	r, err := s.b.client.Grant(ctx, int64(2*class/time.Second))
	if err != nil {
		return clientv3.NoLease, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[time.Duration]limitLease{}
	}
	s.all[class] = limitLease{r.ID, start.Add(class)}
	return r.ID, nil
}

// forget drops all leases, because the server does not have one of them any more.
func (s *limitLeases) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.all)
}
