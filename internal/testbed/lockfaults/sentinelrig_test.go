package lockfaults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

func startSentinel(t *testing.T, o *testbed.SentinelOptions) *testbed.Sentinel {
	t.Helper()
	s := testbed.StartSentinel(t, o)
	dialersEnd(t)
	return s
}

// newSentinelProcess starts a process on the primary that the sentinels name.
func newSentinelProcess(t testing.TB, s *testbed.Sentinel, o *lock.Options, replicas int) *process {
	t.Helper()
	return newProcessOf(t, redis.NewFailoverClient(recommended.Sentinel(s.Addrs(), s.MasterName())), o, replicas)
}

// newProcessOf starts a process whose grants must be confirmed by so many replicas. It owns client.
func newProcessOf(t testing.TB, client *redis.Client, o *lock.Options, replicas int) *process {
	t.Helper()
	p := &process{client: client}
	p.be = newBackend(t, client, replicas)
	var err error
	if p.locks, err = lock.New(p.be.Leases(), p.counting(o)); err != nil {
		t.Fatal(err)
	}
	ends(t, p.end)
	return p
}

func newBackend(t testing.TB, client redisbackend.Client, replicas int) *redisbackend.Backend {
	t.Helper()
	be, err := redisbackend.New(client, &redisbackend.Options{
		WaitReplicas: replicas,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)), // what goes wrong is meant to
	})
	if err != nil {
		t.Fatal(err)
	}
	return be
}

// ends has something close with the test, which it must do in good order.
func ends(t testing.TB, end func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}

// dialersEnd waits, when the clients that are made from now on are closed, for what go-redis leaves
// running: a goroutine that tries once a second whether a server that is down is back.
func dialersEnd(t testing.TB) {
	t.Cleanup(func() {
		stacks := make([]byte, 1<<20)
		wait(t, "nobody dials a server that is down", func() bool {
			n := runtime.Stack(stacks, true)
			return !bytes.Contains(stacks[:n], []byte("pool.(*ConnPool).tryDial"))
		})
	})
}

// soon returns a context that ends with the test, or with the wait for what must happen.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	t.Cleanup(cancel)
	return ctx
}

// grant is one lease as its holder saw it.
type grant struct {
	key       string
	token     fence.Token
	call, ret time.Time
}

// turns is a load of processes that take turns on some keys. Each holder adds one to a counter of
// the key, which is kept outside of Redis and guarded by the token: raise, read, write.
type turns struct {
	guard *memorybackend.Guard
	stop  chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	grants   []grant
	holders  map[string][]*lock.Lease
	counters map[string]int
	overlaps int // grants while another holder believed in its lease
	added    int
	fenced   int // additions that were refused
	failed   int // acquires that ended without an answer
	unsure   int // releases that were not confirmed
	lost     int // leases that were lost before their release
}

func startTurns(t *testing.T, keys []string, lockers ...*lock.Locker) *turns {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ends(t, be.Close)
	s := &turns{guard: be.Guard(), stop: make(chan struct{}), holders: map[string][]*lock.Lease{}, counters: map[string]int{}}
	for i, locks := range lockers {
		s.wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-s.stop:
					return
				default:
				}
				if err := s.turn(locks, keys[n%len(keys)]); err != nil {
					t.Errorf("process %d: %v", i, err)
					return
				}
			}
		})
	}
	return s
}

// turn makes one addition. Failures that a fault of the engine may cause are counted.
func (s *turns) turn(locks *lock.Locker, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	g := grant{key: key, call: time.Now()}
	l, err := locks.Acquire(ctx, key)
	g.ret = time.Now()
	s.mu.Lock()
	if err != nil {
		s.failed++
		s.mu.Unlock()
		if errors.Is(err, lock.ErrUnavailable) {
			return nil
		}
		return err
	}
	g.token = l.Token()
	s.grants = append(s.grants, g)
	for _, other := range s.holders[key] {
		if other.Valid(0) && l.Valid(0) {
			s.overlaps++
		}
	}
	s.holders[key] = append(s.holders[key], l)
	s.mu.Unlock()

	err = s.add(ctx, key, l.Token())
	s.mu.Lock()
	s.holders[key] = slices.DeleteFunc(s.holders[key], func(h *lock.Lease) bool { return h == l })
	switch {
	case err == nil:
		s.added++
	case errors.Is(err, fence.ErrFenced):
		s.fenced++
	}
	s.mu.Unlock()
	if err != nil && !errors.Is(err, fence.ErrFenced) {
		return err
	}

	err = l.Release(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, lock.ErrUncertain):
		s.unsure++
	case errors.Is(err, lock.ErrNotHeld):
		s.lost++
	default:
		return err
	}
	return nil
}

func (s *turns) add(ctx context.Context, key string, token fence.Token) error {
	if err := s.guard.Raise(ctx, key, token); err != nil {
		return err
	}
	s.mu.Lock()
	n := s.counters[key]
	s.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
	return s.guard.Do(ctx, key, token, func() error {
		s.mu.Lock()
		s.counters[key] = n + 1
		s.mu.Unlock()
		return nil
	})
}

// count returns how many grants of the keys there were since, of all keys if none is given.
func (s *turns) count(since time.Time, keys ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		if g.ret.After(since) && (len(keys) == 0 || slices.Contains(keys, g.key)) {
			n++
		}
	}
	return n
}

// runs waits for n grants of each of the keys from now on.
func (s *turns) runs(t *testing.T, n int, keys ...string) {
	t.Helper()
	now := time.Now()
	for _, key := range keys {
		wait(t, "further grants of "+key, func() bool { return s.count(now, key) >= n })
	}
}

// gap returns the longest time without a grant of any of the keys that began after since.
func (s *turns) gap(since time.Time, keys ...string) (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := since
	for _, g := range s.grants {
		if g.ret.After(last) && slices.Contains(keys, g.key) {
			longest, last = max(longest, g.ret.Sub(last)), g.ret
		}
	}
	return longest
}

// end stops the load and checks what holds whatever an engine loses: tokens that increase from
// grant to grant, and no lost addition.
func (s *turns) end(t *testing.T) {
	t.Helper()
	close(s.stop)
	s.wg.Wait()
	type event struct {
		at    time.Time
		grant *grant
	}
	var events []event
	for i := range s.grants {
		events = append(events, event{s.grants[i].call, &s.grants[i]}, event{s.grants[i].ret, &s.grants[i]})
	}
	slices.SortFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	known, least := map[string]fence.Token{}, map[*grant]fence.Token{}
	for _, e := range events {
		if g := e.grant; e.at.Equal(g.call) {
			least[g] = known[g.key]
		} else {
			if g.token <= least[g] {
				t.Errorf("%s: token %v was granted after %v", g.key, g.token, least[g])
			}
			known[g.key] = max(known[g.key], g.token)
		}
	}
	sum := 0
	for _, n := range s.counters {
		sum += n
	}
	if sum != s.added {
		t.Errorf("%d additions were made, the counters say %d", s.added, sum)
	}
	t.Logf("%d grants, %d additions, %d fenced, %d overlaps, %d acquires failed, %d releases unsure, %d leases lost",
		len(s.grants), s.added, s.fenced, s.overlaps, s.failed, s.unsure, s.lost)
}

// cutReplicas keeps the replicas of a primary from following it, until it ends.
func cutReplicas(t *testing.T, primary *testbed.Redis) {
	t.Helper()
	for _, command := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
		if _, err := primary.Command(strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "no replica follows", func() bool { return number(t, primary, "replication", "connected_slaves") == "0" })
}
