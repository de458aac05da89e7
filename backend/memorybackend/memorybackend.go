package memorybackend

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

var errClosed = fmt.Errorf("memorybackend: %w", lease.ErrClosed)

// Backend is one in-memory engine. All its methods, and those of the ports it hands out, may be
// called by several goroutines. The zero value is not usable; [New] makes one.
//
// It starts goroutines only to deliver events, and each ends when its events are delivered, so a
// Backend that is simply dropped leaks nothing. [Backend.Close] is for the orderly end.
type Backend struct {
	done      chan struct{} // closed by Close
	resources resources
	rates     func() *ratelimit.Table
	disturbed atomic.Bool // a test control was used, or the backend is closed

	mu     sync.Mutex // guards all below; never held while code of the caller runs
	hub    hub
	table  table
	faults faults
}

// New returns an empty Backend. An option that is out of bounds is a [*lease.InvalidError].
func New(o *Options) (*Backend, error) {
	opt, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backend{done: make(chan struct{}), rates: sync.OnceValue(func() *ratelimit.Table { return ratelimit.NewTable(opt.Limits) })}
	b.resources = resources{all: make(map[string]*resource), done: b.done}
	b.hub.mu = &b.mu
	b.hub.idle.L = &b.mu
	b.table = table{
		hub:      &b.hub,
		keys:     make(map[string]*key),
		gone:     make(map[lease.Attempt]time.Time),
		watchers: make(map[watched][]*feed[lease.Event]),
	}
	return b, nil
}

// Leases returns the port for lock, election and membership. Every call returns the same claims.
func (b *Backend) Leases() lease.Backend { return leases{b} }

// Limits returns the port for ratelimit. Every call returns the same counts.
func (b *Backend) Limits() ratelimit.Backend { return limits{b, b.rates()} }

// Fences returns the table of fencing marks.
func (b *Backend) Fences() fence.Marks { return marks{b} }

// Guard returns the guard of resources in this process. Its marks are those of [Backend.Fences].
func (b *Backend) Guard() *Guard { return &Guard{b} }

// Control returns the test controls.
func (b *Backend) Control() *Control { return &Control{b} }

// Check reports whether the backend can serve. There is no server to examine: the error is that of
// ctx, or matches [lease.ErrClosed] after Close.
func (b *Backend) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open()
}

// Close ends the backend: running Observes return, no more events are delivered, and every later
// call answers an error matching [lease.ErrClosed]. It returns when the last callback has returned,
// or with an error when ctx ends before that. A second Close is harmless.
//
// Close what works on the backend first; claims that are still held simply end with it. A function
// running under [Guard.Do] is not interrupted and not waited for.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.hub.closed {
		b.hub.closed = true
		b.disturbed.Store(true)
		close(b.done)
	}
	if n := b.hub.quiesce(ctx); n > 0 {
		return fmt.Errorf("memorybackend: close: %d callbacks still running: %w", n, ctx.Err())
	}
	return nil
}

// open returns errClosed after Close. The mutex is held.
func (b *Backend) open() error {
	if b.hub.closed {
		return errClosed
	}
	return nil
}

// arrive is the way of a request to the engine: faults that were asked for happen here.
func (b *Backend) arrive(ctx context.Context) error {
	delay, err := b.meet(ctx)
	if err != nil || delay <= 0 {
		return err
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done:
		return errClosed
	}
}

// meet notes that a request has come and returns what is to happen to it.
func (b *Backend) meet(ctx context.Context) (delay time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.After(b.table.latest) {
		b.table.latest = deadline
	}
	return b.faults.delay, b.faults.fail.next()
}

// leave is the way back of an answer, which may get lost.
func (b *Backend) leave() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.lose.next()
}

// do runs one verb on the table as a single atomic step. A verb that comes later than the deadline
// of ctx is not run, even if ctx has not noticed yet: its tombstone may be gone.
func do[T any](ctx context.Context, b *Backend, verb func(t *table, now time.Time) T) (answer T, err error) {
	var none T
	if err := b.arrive(ctx); err != nil {
		return none, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err := b.open(); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if deadline, ok := ctx.Deadline(); ok && now.After(deadline) {
		return none, context.DeadlineExceeded
	}
	b.table.collect(now)
	answer = verb(&b.table, now)
	if err := b.faults.lose.next(); err != nil {
		return none, err
	}
	return answer, nil
}
