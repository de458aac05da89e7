package lockfaults

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// leastTTL is the shortest that etcd keeps.
const leastTTL = 2 * time.Second

// etcdProcess is a process whose locks are on etcd.
type etcdProcess struct {
	process // without a server of its kind
	client  *clientv3.Client
	be      *etcdbackend.Backend
	log     *lines
}

// lines is what a backend logs.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// count returns how often something was logged.
func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// newEtcdProcess starts a process. It ends with the test, and must do so cleanly.
func newEtcdProcess(t testing.TB, c clientv3.Config, o *lock.Options) *etcdProcess {
	t.Helper()
	p, err := connectEtcd(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := p.end(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

func connectEtcd(c clientv3.Config, o *lock.Options) (*etcdProcess, error) {
	p := &etcdProcess{log: &lines{}}
	var err error
	if p.client, err = clientv3.New(c); err != nil {
		return nil, err
	}
	p.be, err = etcdbackend.New(p.client, &etcdbackend.Options{Logger: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		return nil, err
	}
	p.locks, err = lock.New(p.be.Leases(), p.counting(o))
	return p, err
}

// end closes everything, in the documented order.
func (p *etcdProcess) end(ctx context.Context) error {
	if err := errors.Join(p.locks.Close(ctx), p.be.Close(ctx)); err != nil {
		return err
	}
	return p.client.Close()
}

// data returns the value of a key.
func (p *etcdProcess) data(ctx context.Context, key string) (string, error) {
	r, err := p.client.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		return "", err
	}
	return string(r.Kvs[0].Value), nil
}

// guarded writes to a key under a token.
func (p *etcdProcess) guarded(ctx context.Context, token fence.Token, key, value string) error {
	_, err := p.be.Guard().Txn(ctx, key, token, clientv3.OpPut(key, value))
	return err
}

// etcdHolder is the child that holds the key on etcd.
func etcdHolder(endpoints []string, o *lock.Options) (func(commands <-chan string) error, error) {
	p, err := connectEtcd(recommended.Etcd(endpoints), o)
	if err != nil {
		return nil, err
	}
	return holder{
		locks: p.locks,
		guarded: func(token fence.Token) error {
			return p.guarded(context.Background(), token, childData, "child, guarded")
		},
		bare: func() error {
			_, err := p.client.Put(context.Background(), childData, "child, bare")
			return err
		},
		end: p.end,
	}.run, nil
}

// strain is many processes that take turns on one key, and looks at the times of their grants.
type strain struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	inside atomic.Int32 // holders that believe in their lease

	mu        sync.Mutex
	grants    []time.Time
	uncertain int // releases
}

const strained = "strained"

func startStrain(t *testing.T, processes ...*etcdProcess) *strain {
	s := &strain{stop: make(chan struct{})}
	for _, p := range processes {
		s.wg.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				default:
				}
				if err := s.turn(t, p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return s
}

func (s *strain) turn(t *testing.T, p *etcdProcess) error {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	l, err := p.locks.Acquire(ctx, strained)
	if err != nil {
		return err
	}
	if n := s.inside.Add(1); n != 1 && l.Valid(0) {
		t.Errorf("%d holders at once", n)
	}
	s.mu.Lock()
	s.grants = append(s.grants, time.Now())
	s.mu.Unlock()
	time.Sleep(time.Millisecond)
	s.inside.Add(-1)
	err = l.Release(ctx)
	if errors.Is(err, lock.ErrUncertain) {
		s.mu.Lock()
		s.uncertain++
		s.mu.Unlock()
		err = nil
	}
	return err
}

// count returns the number of grants so far.
func (s *strain) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants)
}

// runs waits for n further grants.
func (s *strain) runs(t *testing.T, n int) {
	t.Helper()
	n += s.count()
	wait(t, "further grants", func() bool { return s.count() >= n })
}

// end stops the strain and returns the longest time without a grant that began after since.
func (s *strain) end(since time.Time) (gap time.Duration) {
	close(s.stop)
	s.wg.Wait()
	last := since
	for _, at := range s.grants {
		if at.After(since) {
			gap = max(gap, at.Sub(last))
			last = at
		}
	}
	return gap
}

// startEtcd starts a cluster of n nodes and some processes on it.
func startEtcd(t *testing.T, n, processes int, o *lock.Options) (*testbed.Etcd, []*etcdProcess) {
	t.Helper()
	e := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: n})
	var list []*etcdProcess
	for range processes {
		list = append(list, newEtcdProcess(t, recommended.Etcd(e.Endpoints()), o))
	}
	return e, list
}
