package backendtest_test

import (
	"context"
	"slices"
	"sync"

	"github.com/concord-go/concord/lease"
)

// broken is a backend with one promise broken; each function replaces a verb.
type broken struct {
	lease.Backend
	acquire    func(context.Context, lease.Claim) (lease.Answer, error)
	acquireAll func(context.Context, []lease.Claim) ([]lease.Answer, error)
	renew      func(context.Context, []lease.Renewal) []lease.Answer
	release    func(context.Context, lease.Release) (lease.Released, error)
	revoke     func(context.Context, lease.Revocation) (bool, error)
	inspect    func(context.Context, string) (lease.State, error)
	seats      func(context.Context, string, string) ([]lease.Party, string, error)
	watch      func(string, lease.Attempt, func(lease.Event)) func()
	observe    func(context.Context, string, func(lease.Change)) error
	caps       func() lease.Capabilities
}

func (b *broken) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	if b.acquire != nil {
		return b.acquire(ctx, c)
	}
	return b.Backend.Acquire(ctx, c)
}

func (b *broken) AcquireAll(ctx context.Context, c []lease.Claim) ([]lease.Answer, error) {
	if b.acquireAll != nil {
		return b.acquireAll(ctx, c)
	}
	return b.Backend.AcquireAll(ctx, c)
}

func (b *broken) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	if b.renew != nil {
		return b.renew(ctx, items)
	}
	return b.Backend.Renew(ctx, items)
}

func (b *broken) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	if b.release != nil {
		return b.release(ctx, r)
	}
	return b.Backend.Release(ctx, r)
}

func (b *broken) Revoke(ctx context.Context, v lease.Revocation) (bool, error) {
	if b.revoke != nil {
		return b.revoke(ctx, v)
	}
	return b.Backend.Revoke(ctx, v)
}

func (b *broken) Inspect(ctx context.Context, key string) (lease.State, error) {
	if b.inspect != nil {
		return b.inspect(ctx, key)
	}
	return b.Backend.Inspect(ctx, key)
}

func (b *broken) Seats(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
	if b.seats != nil {
		return b.seats(ctx, key, cursor)
	}
	return b.Backend.Seats(ctx, key, cursor)
}

func (b *broken) Watch(key string, a lease.Attempt, notify func(lease.Event)) func() {
	if b.watch != nil {
		return b.watch(key, a, notify)
	}
	return b.Backend.Watch(key, a, notify)
}

func (b *broken) Observe(ctx context.Context, key string, notify func(lease.Change)) error {
	if b.observe != nil {
		return b.observe(ctx, key, notify)
	}
	return b.Backend.Observe(ctx, key, notify)
}

func (b *broken) Capabilities() lease.Capabilities {
	if b.caps != nil {
		return b.caps()
	}
	return b.Backend.Capabilities()
}

// each sends a batch one item at a time, through change.
func each(be lease.Backend, change func(lease.Renewal, lease.Answer) lease.Answer) func(context.Context, []lease.Renewal) []lease.Answer {
	return func(ctx context.Context, items []lease.Renewal) []lease.Answer {
		answers := be.Renew(ctx, items)
		for i := range answers {
			answers[i] = change(items[i], answers[i])
		}
		return answers
	}
}

// asking changes every claim before it is sent.
func asking(be lease.Backend, change func(*lease.Claim)) *broken {
	return &broken{Backend: be,
		acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			change(&c)
			return be.Acquire(ctx, c)
		},
		acquireAll: func(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
			claims = slices.Clone(claims)
			for i := range claims {
				change(&claims[i])
			}
			return be.AcquireAll(ctx, claims)
		},
	}
}

// renaming sends every key under another name.
func renaming(be lease.Backend, name func(string) string) *broken {
	b := asking(be, func(c *lease.Claim) { c.Key = name(c.Key) })
	b.renew = func(ctx context.Context, items []lease.Renewal) []lease.Answer {
		items = slices.Clone(items)
		for i := range items {
			items[i].Key = name(items[i].Key)
		}
		return be.Renew(ctx, items)
	}
	b.release = func(ctx context.Context, r lease.Release) (lease.Released, error) {
		r.Key = name(r.Key)
		return be.Release(ctx, r)
	}
	b.inspect = func(ctx context.Context, key string) (lease.State, error) { return be.Inspect(ctx, name(key)) }
	b.seats = func(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
		return be.Seats(ctx, name(key), cursor)
	}
	return b
}

// releasing changes every release before it is sent.
func releasing(be lease.Backend, change func(*lease.Release)) *broken {
	return &broken{Backend: be, release: func(ctx context.Context, r lease.Release) (lease.Released, error) {
		change(&r)
		return be.Release(ctx, r)
	}}
}

// memory remembers the claims that were sent.
type memory struct {
	mu     sync.Mutex
	claims map[lease.Attempt]lease.Claim
}

func (m *memory) keep(c lease.Claim) (again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claims == nil {
		m.claims = map[lease.Attempt]lease.Claim{}
	}
	_, again = m.claims[c.Attempt]
	m.claims[c.Attempt] = c
	return again
}

func (m *memory) claim(a lease.Attempt) (lease.Claim, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.claims[a]
	return c, ok
}
