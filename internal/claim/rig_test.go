package claim

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
)

// faulty is a backend with a fault: each func, if set, stands between the core and the engine.
type faulty struct {
	lease.Backend
	mu      sync.Mutex // guards the funcs once processes run; see change
	acquire func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error)
	renew   func(ctx context.Context, items []lease.Renewal, next renewFunc) []lease.Answer
	release func(ctx context.Context, r lease.Release, next releaseFunc) (lease.Released, error)
	event   func(e lease.Event, deliver func(lease.Event))
}

type (
	acquireFunc = func(context.Context, lease.Claim) (lease.Answer, error)
	renewFunc   = func(context.Context, []lease.Renewal) []lease.Answer
	releaseFunc = func(context.Context, lease.Release) (lease.Released, error)
)

func (f *faulty) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	f.mu.Lock()
	fault := f.acquire
	f.mu.Unlock()
	if fault != nil {
		return fault(ctx, c, f.Backend.Acquire)
	}
	return f.Backend.Acquire(ctx, c)
}

func (f *faulty) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	f.mu.Lock()
	fault := f.renew
	f.mu.Unlock()
	if fault != nil {
		return fault(ctx, items, f.Backend.Renew)
	}
	return f.Backend.Renew(ctx, items)
}

func (f *faulty) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	f.mu.Lock()
	fault := f.release
	f.mu.Unlock()
	if fault != nil {
		return fault(ctx, r, f.Backend.Release)
	}
	return f.Backend.Release(ctx, r)
}

// Capabilities says that the fault does not care for deadlines.
func (f *faulty) Capabilities() lease.Capabilities {
	c := f.Backend.Capabilities()
	c.Prompt = false
	return c
}

func (f *faulty) Watch(key string, a lease.Attempt, notify func(lease.Event)) func() {
	return f.Backend.Watch(key, a, func(e lease.Event) {
		f.mu.Lock()
		fault := f.event
		f.mu.Unlock()
		if fault != nil {
			fault(e, notify)
		} else {
			notify(e)
		}
	})
}

// change changes the fault while processes run.
func (f *faulty) change(to func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to()
}

// rig is one engine with as many processes on it as a test wants.
type rig struct {
	*testing.T
	be *memorybackend.Backend
}

// process is a Keeper and what it reported.
type process struct {
	*Keeper
	t  *testing.T
	mu sync.Mutex

	begun    int
	released int
	lost     []*lease.LostError
	renewed  int
	cleaned  int
}

const testTTL = 9 * time.Second

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(*testing.T, rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { time.Sleep(time.Hour) }) // runs last: whatever a fault still delays ends
		f(t, rig{t, be})
	})
}

// process starts a process on b, or on the engine itself if b is nil.
func (r rig) process(b lease.Backend, change ...func(*Options)) *process {
	r.Helper()
	if b == nil {
		b = r.be.Leases()
	}
	p := &process{t: r.T}
	o := Options{TTL: testTTL, Window: 3 * time.Second, Owner: "test", Epoch: 1}
	for _, f := range change {
		f(&o)
	}
	o.Events = Events{
		Begun:    func(*Hold) { p.mu.Lock(); p.begun++; p.mu.Unlock() },
		Released: func(*Hold) { p.mu.Lock(); p.released++; p.mu.Unlock() },
		Renewed: func(_ *Hold, _ time.Duration, err error) {
			if err == nil {
				p.mu.Lock()
				p.renewed++
				p.mu.Unlock()
			}
		},
		Lost:    func(_ *Hold, err *lease.LostError) { p.mu.Lock(); p.lost = append(p.lost, err); p.mu.Unlock() },
		Cleaned: func(string, int, error) { p.mu.Lock(); p.cleaned++; p.mu.Unlock() },
	}
	p.Keeper = New(b, o)
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			r.Errorf("close: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.begun != p.released+len(p.lost) {
			r.Errorf("%d holds began, %d were released and %d lost", p.begun, p.released, len(p.lost))
		}
	})
	return p
}

func (p *process) acquire(key string) *Hold {
	p.t.Helper()
	h, err := p.Acquire(context.Background(), Lock(key, true))
	if err != nil {
		p.t.Fatalf("acquire %q: %v", key, err)
	}
	return h
}

// later acquires in the background; the hold arrives on the channel.
func (p *process) later(key string) <-chan *Hold {
	got := make(chan *Hold, 1)
	go func() {
		if h, err := p.Acquire(context.Background(), Lock(key, true)); err == nil {
			got <- h
		}
		close(got)
	}()
	synctest.Wait()
	return got
}

// vanish makes the process dead to the world: it answers nothing and asks nothing any more.
func (f *faulty) vanish() {
	f.change(func() {
		f.acquire = func(ctx context.Context, _ lease.Claim, _ acquireFunc) (lease.Answer, error) {
			<-ctx.Done()
			return lease.Answer{}, ctx.Err()
		}
		f.renew = func(ctx context.Context, items []lease.Renewal, _ renewFunc) []lease.Answer {
			<-ctx.Done()
			return failed(len(items), errLost)
		}
		f.release = func(ctx context.Context, _ lease.Release, _ releaseFunc) (lease.Released, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		f.event = func(lease.Event, func(lease.Event)) {}
	})
}

func failed(n int, err error) []lease.Answer {
	answers := make([]lease.Answer, n)
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

func mustRelease(t *testing.T, h *Hold) {
	t.Helper()
	if err := h.Release(context.Background()); err != nil {
		t.Errorf("release: %v", err)
	}
}

func cause(h *Hold) lease.Cause {
	lost, _ := context.Cause(h.Context()).(*lease.LostError)
	if lost == nil {
		return 0
	}
	return lost.Cause
}

func inspect(t *testing.T, b lease.Backend, key string) lease.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := b.Inspect(ctx, key)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	return s
}
