package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// keysOf returns the keys of the server that hold state of the lock named key.
func keysOf(t *testing.T, p *process, key string) []string {
	t.Helper()
	keys, err := p.client.Keys(t.Context(), "*:"+key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// forgets takes the server through forget, which makes it lose all data, and checks what holders
// and waiters make of it.
func forgets(t *testing.T, server *testbed.Redis, forget func()) {
	const ttl = 6 * time.Second
	holder := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	other := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	wanted := holder.acquire(t, "wanted")
	alone := holder.acquire(t, "alone")
	next := other.later(t, "wanted")

	gone := time.Now()
	forget()
	back := time.Now()

	g := await(t, next)
	if g.Token() <= wanted.Token() {
		t.Errorf("token %v of the next holder is not above %v", g.Token(), wanted.Token())
	}
	for _, l := range []*lock.Lease{wanted, alone} {
		lost, at := lossOf(t, l)
		switch {
		case lost.Cause == lock.BackendLost:
		case lost.Cause == lock.Unreachable && back.Sub(gone) > ttl/2: // it was down for too long to tell
		default:
			t.Errorf("%s: %v, want backend lost", l.Key(), lost)
		}
		if d := at.Sub(back); d > ttl/3+slack {
			t.Errorf("%s: noticed %v after the server came back, want at most a third of the TTL", l.Key(), d)
		}
		t.Logf("%s: %v, %v after the server was back (it was away for %v)", l.Key(), lost.Cause, round(at.Sub(back)), round(back.Sub(gone)))
	}
	if keys := keysOf(t, other, "alone"); len(keys) != 0 {
		t.Errorf("renewals recreated %q", keys)
	}
	if s := other.inspect(t, "alone"); s.Holder != nil || s.Waiting != 0 {
		t.Errorf("renewals recreated %+v", s)
	}
	if err := alone.Release(t.Context()); !errors.Is(err, lock.ErrNotHeld) || !errors.Is(err, lock.ErrLost) {
		t.Errorf("release of a lost lease: %v, want not held, with the loss", err)
	}
	if s := other.inspect(t, "wanted"); s.Holder == nil || s.Holder.Token != g.Token() {
		t.Errorf("the next holder is gone: %+v", s)
	}
	release(t, g.Lease)
	t.Logf("the next holder got its lock %v after the server was back", round(g.at.Sub(back)))
}

func TestServerKilledWithoutAppendOnlyFileForgetsTheHolder(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	forgets(t, server, func() {
		server.Kill()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestServerFlushedForgetsTheHolder(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	forgets(t, server, func() {
		if _, err := server.Command("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestServerKilledWithAppendOnlyFileKeepsTheHolder(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, &testbed.RedisOptions{AppendOnly: true, Args: []string{"--appendfsync", "always"}})
	p := newProcess(t, server.Addr(), &lock.Options{TTL: 12 * time.Second})
	l := p.acquire(t, "k")
	before := number(t, server, "server", "run_id")

	gone := time.Now()
	server.Kill()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	away := time.Since(gone)
	if number(t, server, "server", "run_id") == before {
		t.Error("the same server runs")
	}
	p.renewed.Store(0)
	wait(t, "a renewal after the restart", func() bool { return p.renewed.Load() > 0 })
	if !l.Valid(0) || l.Context().Err() != nil {
		t.Errorf("lost: %v", context.Cause(l.Context()))
	}
	if s := p.inspect(t, "k"); s.Holder == nil || s.Holder.Token != l.Token() {
		t.Errorf("state %+v, want the holder with token %v", s, l.Token())
	}
	release(t, l)
	t.Logf("held through %v without a server", round(away))
}

func TestServerHungForLessThanTheTTLCostsNothing(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), &lock.Options{TTL: 9 * time.Second, Hooks: &lock.Hooks{}})
	l := p.acquire(t, "k")
	hung := time.Now()
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	wait(t, "a renewal fails", func() bool { return p.failed.Load() > 0 })
	p.renewed.Store(0)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	away := time.Since(hung)
	wait(t, "a renewal after that", func() bool { return p.renewed.Load() > 0 })
	if !l.Valid(0) {
		t.Errorf("lost: %v", context.Cause(l.Context()))
	}
	release(t, l)
	t.Logf("held through %v without an answer, %d failed renewals", round(away), p.failed.Load())
}

func TestServerHungForLongerEndsTheHolderFirst(t *testing.T) {
	t.Parallel()
	const ttl, margin = 6 * time.Second, time.Second
	server := testbed.StartRedis(t, nil)
	p := newProcess(t, server.Addr(), &lock.Options{TTL: ttl, Margin: margin})
	asked := time.Now()
	l := p.acquire(t, "k")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}

	// Meanwhile nothing else may block for longer than it was told to, or than it says.
	tried := make(chan error, 1)
	go func() {
		start := time.Now()
		_, err := p.locks.TryAcquire(context.Background(), "third")
		if took := time.Since(start); took > ttl/3+time.Second+slack {
			t.Errorf("try returned after %v, want little more than a third of the TTL", took)
		}
		tried <- err
	}()
	const patience = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	_, err := p.locks.Acquire(ctx, "other")
	took := time.Since(start)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("acquire on a hung server: %v, want the deadline and uncertain", err)
	}
	if took < patience || took > patience+slack {
		t.Errorf("acquire returned after %v, want its deadline of %v", took, patience)
	}

	lost, at := lossOf(t, l)
	if lost.Cause != lock.Unreachable || lost.Err == nil {
		t.Errorf("%v, want unreachable with the last failure", lost)
	}
	if d := at.Sub(asked); d >= ttl {
		t.Errorf("lost %v after it was asked for; by then the server had let go", d)
	}
	if p.renewed.Load() != 0 {
		t.Errorf("%d renewals were answered by a hung server", p.renewed.Load())
	}
	start = time.Now()
	if err := l.Release(t.Context()); !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("release on a hung server: %v, want uncertain", err)
	}
	if d := time.Since(start); d > time.Second+slack {
		t.Errorf("release took %v, want at most 1s", d)
	}
	if err := <-tried; !errors.Is(err, lock.ErrUnavailable) || !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("try on a hung server: %v, want unavailable and uncertain", err)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	wait(t, "all clean-ups have ended", func() bool { return p.cleaned.Load() == 3 })
	for _, key := range []string{"k", "other", "third"} {
		if s := p.inspect(t, key); s.Holder != nil || s.Waiting != 0 {
			t.Errorf("%s: left behind %+v", key, s)
		}
	}
	t.Logf("acquire gave up after %v; the holder stopped %v before its TTL was over", round(took), round(ttl-at.Sub(asked)))
}

// age moves the end of the seat of a lock into the past, which is what a step of the server's
// clock by that much does to it.
func age(t *testing.T, p *process, key string, by time.Duration) {
	t.Helper()
	for _, name := range keysOf(t, p, key) {
		if !strings.Contains(name, ":l:") {
			continue
		}
		fields, err := p.client.HGetAll(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		for field, text := range fields {
			const end = 6 // in a record, see steps.lua of redisbackend
			record := strings.Fields(text)
			if !strings.HasPrefix(field, "c") || record[0] != "h" {
				continue
			}
			x, err := strconv.ParseInt(record[end], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			record[end] = strconv.FormatInt(x-by.Milliseconds(), 10)
			if err := p.client.HSet(t.Context(), name, field, strings.Join(record, " ")).Err(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no seat of %q", key)
}

func TestServerClockSteppedForwardIsCaughtByTheFence(t *testing.T) {
	t.Parallel()
	const ttl = 9 * time.Second
	server := testbed.StartRedis(t, nil)
	p, other := newProcess(t, server.Addr(), &lock.Options{TTL: ttl}), newProcess(t, server.Addr(), nil)
	early := p.acquire(t, "k")
	asked := time.Now()
	age(t, other, "k", time.Hour)
	next, err := other.locks.TryAcquire(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if next.Token() <= early.Token() {
		t.Errorf("token %v after %v", next.Token(), early.Token())
	}
	if err := other.be.Guard().Raise(t.Context(), "data", next.Token()); err != nil {
		t.Error(err)
	}
	if err := p.be.Guard().Set(t.Context(), "data", early.Token(), "late", 0); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("write of the earlier holder: %v, want it fenced", err)
	}
	believed := early.Valid(0)
	lost, at := lossOf(t, early)
	if lost.Cause != lock.BackendLost {
		t.Errorf("%v, want backend lost", lost)
	}
	if d := at.Sub(asked); d > ttl/3+slack {
		t.Errorf("noticed after %v, want at most a third of the TTL", d)
	}
	release(t, next)
	t.Logf("two holders at once: %t; the earlier one noticed after %v", believed, round(at.Sub(asked)))
}

// go-redis as it comes does not end a call with its ctx: a read takes 5 s and is tried four times.
func TestHungServerBehindAClientWithDefaultOptions(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	p := newProcessWith(t, &redis.Options{Addr: server.Addr()}, &lock.Options{TTL: 10 * time.Second})
	l := p.acquire(t, "k")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	const patience = 500 * time.Millisecond
	bounded := func(what string, f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		err := f(ctx)
		took := time.Since(start)
		if took > patience+slack {
			t.Errorf("%s took %v, want %v", what, took, patience)
		}
		t.Logf("%s: %v: %v", what, round(took), err)
		return err
	}
	err := bounded("acquire", func(ctx context.Context) error { _, err := p.locks.Acquire(ctx, "other"); return err })
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("acquire: %v, want the deadline and uncertain", err)
	}
	if err := bounded("close", p.locks.Close); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v, want the deadline: calls hang", err)
	}
	if err := bounded("close of the backend", p.be.Close); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close of the backend: %v", err)
	}
	if lost, _ := lossOf(t, l); lost.Cause != lock.Closed {
		t.Errorf("%v, want closed", lost)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	if err := p.end(ctx); err != nil {
		t.Errorf("close after the server went on: %v", err)
	}
}

// load lets processes contend for keys until stop is closed, and counts their leases.
type load struct {
	stop   chan struct{}
	leases atomic.Int64
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, keys int, goroutines int, processes ...*process) *load {
	l := &load{stop: make(chan struct{})}
	for _, p := range processes {
		for i := range goroutines {
			l.wg.Go(func() {
				for n := i; ; n++ {
					select {
					case <-l.stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), eventually)
					held, err := p.locks.Acquire(ctx, fmt.Sprint("load", n%keys))
					cancel()
					if err != nil {
						t.Errorf("acquire: %v", err)
						return
					}
					if err := held.Release(context.Background()); err != nil {
						t.Errorf("release: %v", err)
						return
					}
					l.leases.Add(1)
				}
			})
		}
	}
	return l
}

// end stops the load and returns the number of leases. A waiter that is stuck fails the test.
func (l *load) end() int64 {
	close(l.stop)
	l.wg.Wait()
	return l.leases.Load()
}

func TestScriptFlushUnderLoadIsTransparent(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	var processes []*process
	for range 4 {
		processes = append(processes, newProcess(t, server.Addr(), nil))
	}
	kept := processes[0].acquire(t, "kept")
	l := startLoad(t, 2, 2, processes...)
	const flushes = 100
	for range flushes {
		if _, err := server.Command("SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	leases := l.end()
	refused := number(t, server, "errorstats", "errorstat_NOSCRIPT")
	if refused == "" {
		t.Error("no request met an unknown script")
	}
	release(t, kept)
	t.Logf("%d flushes, %d leases, NOSCRIPT %s", flushes, leases, refused)
}

func TestKilledConnectionsKeepTheOrder(t *testing.T) {
	t.Parallel()
	for _, kinds := range []string{"normal", "pubsub", "normal pubsub"} {
		t.Run(kinds, func(t *testing.T) {
			t.Parallel()
			// A window as long as the TTL: who does not hear of its grant is not overtaken.
			opt := &lock.Options{TTL: 15 * time.Second, ClaimWindow: 15 * time.Second}
			server := testbed.StartRedis(t, nil)
			first := newProcess(t, server.Addr(), opt)
			held := first.acquire(t, "k")
			const waiters = 8
			order := make(chan int, waiters)
			var wg sync.WaitGroup
			for i := range waiters {
				result := newProcess(t, server.Addr(), opt).later(t, "k")
				wg.Go(func() {
					g := <-result
					if g.err != nil {
						t.Errorf("waiter %d: %v", i, g.err)
						return
					}
					order <- i
					time.Sleep(30 * time.Millisecond) // longer than between two kills
					// A release whose connections are killed again and again goes on in the background.
					if err := g.Release(context.Background()); err != nil && !errors.Is(err, lock.ErrUncertain) {
						t.Errorf("waiter %d: release: %v", i, err)
					}
				})
			}
			wait(t, "every process has subscribed", func() bool {
				list, err := server.Command("CLIENT", "LIST", "TYPE", "pubsub")
				return err == nil && strings.Count(list, "\n") >= waiters
			})
			kill := func() (killed int) {
				for kind := range strings.FieldsSeq(kinds) {
					n, err := server.Command("CLIENT", "KILL", "TYPE", kind)
					if err != nil {
						t.Fatal(err)
					}
					count, err := strconv.Atoi(n)
					if err != nil {
						t.Fatal(err)
					}
					killed += count
				}
				return killed
			}
			before, during := kill(), 0
			start := time.Now()
			release(t, held)
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			for n, alive := 0, true; alive; n++ {
				select {
				case <-done:
					alive = false
				case <-time.After(20 * time.Millisecond):
					if n < 100 { // then let them come to an end
						during += kill()
					}
				}
			}
			close(order)
			want := 0
			for i := range order {
				if i != want {
					t.Errorf("waiter %d came as number %d", i, want)
				}
				want++
			}
			if want != waiters || before < waiters || during == 0 {
				t.Errorf("%d of %d waiters served, %d connections killed while they waited, %d while they took turns",
					want, waiters, before, during)
			}
			t.Logf("%d and %d connections killed, %d hand-overs in %v", before, during, waiters, round(time.Since(start)))
		})
	}
}

func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	o := recommended.Redis(server.Addr())
	o.PoolSize = 1
	p := newProcessWith(t, o, &lock.Options{TTL: 3 * time.Second})
	var kept []*lock.Lease
	for i := range 10 {
		kept = append(kept, p.acquire(t, fmt.Sprint("kept", i)))
	}
	l := startLoad(t, 5, 20, p)
	const rounds = 3
	wait(t, "every lease is renewed a few times", func() bool { return p.renewed.Load() >= rounds*int64(len(kept)) })
	leases := l.end()
	for _, k := range kept {
		if !k.Valid(0) {
			t.Errorf("%s: %v", k.Key(), context.Cause(k.Context()))
		}
		release(t, k)
	}
	if open := p.client.PoolStats().TotalConns; open > 1 {
		t.Errorf("%d connections", open)
	}
	t.Logf("%d leases by 20 goroutines on 5 keys, %d renewals, %d failed", leases, p.renewed.Load(), p.failed.Load())
}

// It runs alone, so that every goroutine that is new at its end is its own.
func TestNothingRunsAfterClose(t *testing.T) {
	server := testbed.StartRedis(t, nil)
	before := goleak.IgnoreCurrent()
	opt := &lock.Options{TTL: time.Second}
	var processes []*process
	for range 4 {
		p, err := connect(redis.NewClient(recommended.Redis(server.Addr())), opt)
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, p)
	}
	l := startLoad(t, 2, 3, processes...)
	wait(t, "some leases", func() bool { return l.leases.Load() > 100 })
	l.end()
	held := processes[0].acquire(t, "k")
	waits := processes[1].later(t, "k")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if lost, _ := lossOf(t, held); lost.Cause != lock.Unreachable && lost.Cause != lock.Expired {
		t.Errorf("%v, want unreachable or expired", lost)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := processes[2].locks.Acquire(ctx, "k"); err == nil {
		t.Error("a hung server granted")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, waits) // and is left to Close
	start := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), eventually)
	defer cancel()
	for _, p := range processes {
		if err := p.end(ctx); err != nil {
			t.Error(err)
		}
	}
	took := time.Since(start)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %v", round(took))
}
