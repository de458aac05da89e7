package memorybackend

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

// maxPending is how many events may wait for a callback. Beyond it all of them are dropped, and
// what says so takes their place.
const maxPending = 1 << 14

// lookEvery is how often an observed key is looked at when nobody uses it.
const lookEvery = time.Second

// hub is what all feeds share. The backend's mutex guards it.
type hub struct {
	mu      *sync.Mutex // the backend's
	idle    sync.Cond   // a feed has come to rest
	running int         // feeds whose callback is being called
	closed  bool
	deaf    bool // events get lost
}

// quiesce waits until no callback runs or ctx ends, and returns how many still run.
func (h *hub) quiesce(ctx context.Context) int {
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.idle.Broadcast()
	})
	defer stop()
	for h.running > 0 && ctx.Err() == nil {
		h.idle.Wait()
	}
	return h.running
}

// feed carries events to one callback, in order. Its goroutine lives while there are events and
// holds no lock while it calls, so a callback may use the backend.
type feed[E any] struct {
	hub     *hub
	notify  func(E)
	gap     E // says that events were missed
	pending []E
	running bool
	stopped bool
}

// send adds an event. The mutex is held.
func (f *feed[E]) send(e E) {
	if f.hub.deaf || f.hub.closed || f.stopped {
		return
	}
	if len(f.pending) == maxPending {
		f.pending = append(f.pending[:0], f.gap)
	}
	f.pending = append(f.pending, e)
	if !f.running {
		f.running = true
		f.hub.running++
		go f.run()
	}
}

// run delivers what is pending.
func (f *feed[E]) run() {
	f.hub.mu.Lock()
	defer func() {
		f.pending, f.running = nil, false
		f.hub.running--
		f.hub.idle.Broadcast()
		f.hub.mu.Unlock()
	}()
	for len(f.pending) > 0 && !f.stopped && !f.hub.closed {
		e := f.pending[0]
		f.pending = f.pending[1:]
		f.call(e)
	}
}

// call calls back without the mutex and has it again afterwards, however the callback ends.
func (f *feed[E]) call(e E) {
	f.hub.mu.Unlock()
	defer f.hub.mu.Lock()
	f.notify(e)
}

// stop ends the feed and waits for a callback that is running. The mutex is held.
func (f *feed[E]) stop() {
	f.stopped = true
	for f.running {
		f.hub.idle.Wait()
	}
}

// watched names the claim that a Watch is about.
type watched struct {
	key     string
	attempt lease.Attempt
}

// Watch implements [lease.Backend]. Events of one Watch come one after the other, in the order in
// which they happened. The callback may call the backend, but neither its own stop nor Close.
func (l leases) Watch(key string, a lease.Attempt, notify func(lease.Event)) (stop func()) {
	b, w := l.b, watched{key, a}
	f := &feed[lease.Event]{hub: &b.hub, notify: notify, gap: lease.Event{Kind: lease.EventCheck}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.watchers[w] = append(b.table.watchers[w], f)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.table.watchers[w] = without(b.table.watchers[w], f)
		if len(b.table.watchers[w]) == 0 {
			delete(b.table.watchers, w)
		}
		f.stop()
	}
}

// gap is the change that says that changes were missed.
var gap = lease.Change{Kind: lease.ChangeGap}

// Observe implements [lease.Backend].
func (l leases) Observe(ctx context.Context, name string, notify func(lease.Change)) error {
	if err := lease.ValidateKey(name); err != nil {
		return err
	}
	b := l.b
	f := &feed[lease.Change]{hub: &b.hub, notify: notify, gap: gap}
	if err := b.observe(ctx, name, f); err != nil {
		return err
	}
	defer b.unobserve(name, f)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.done:
			return errClosed
		case <-time.After(lookEvery):
			b.look(name)
		}
	}
}

// look notices what has ended, so that observers of the key are told though nobody uses it.
func (b *Backend) look(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.table.open(name)
	b.table.advance(k, time.Now())
	b.table.sweep(k)
}

func (b *Backend) observe(ctx context.Context, name string, f *feed[lease.Change]) error {
	if err := b.arrive(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return err
	}
	k := b.table.open(name)
	k.observers = append(k.observers, f)
	f.send(gap)
	return nil
}

func (b *Backend) unobserve(name string, f *feed[lease.Change]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.table.open(name)
	k.observers = without(k.observers, f)
	b.table.sweep(k)
	f.stop()
}

func without[T comparable](list []T, x T) []T {
	return slices.DeleteFunc(list, func(y T) bool { return x == y })
}

// tell sends an event to those who watch the claim.
func (t *table) tell(k *key, c *claim, e lease.Event) {
	for _, f := range t.watchers[watched{k.name, c.Attempt}] {
		f.send(e)
	}
}

// announce sends a change to the observers of the key, if the claim wants that.
func (t *table) announce(k *key, c *claim, kind lease.ChangeKind) {
	if !c.Announce {
		return
	}
	change := lease.Change{Kind: kind, Party: lease.Party{Token: c.token}}
	if kind != lease.ChangeEnded {
		change.Party = c.party(time.Time{})
		change.Party.Left, change.Party.Asked = 0, false
	}
	for _, f := range k.observers {
		f.send(change)
	}
}
