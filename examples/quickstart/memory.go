package main

import (
	"context"
	"sync/atomic"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
)

func openMemory() (*engine, error) {
	be, err := memorybackend.New(nil)
	if err != nil {
		return nil, err
	}
	return &engine{
		name:   "memory",
		leases: be.Leases(),
		store:  func(title string) store { return &memoryStore{guard: be.Guard(), title: title} },
		close:  func() { be.Close(context.Background()) },
	}, nil
}

// memoryStore guards a variable of this process.
type memoryStore struct {
	guard       *memorybackend.Guard
	title       string
	count, made atomic.Int64
}

func (m *memoryStore) raise(ctx context.Context, t fence.Token) error {
	return m.guard.Raise(ctx, m.title, t)
}

func (m *memoryStore) read(context.Context) (int, error) { return int(m.count.Load()), nil }

func (m *memoryStore) write(_ context.Context, n int) error {
	m.count.Store(int64(n))
	return nil
}

func (m *memoryStore) writeFenced(ctx context.Context, t fence.Token, n int) error {
	return m.guard.Do(ctx, m.title, t, func() error { return m.write(ctx, n) })
}

func (m *memoryStore) note(context.Context) error {
	m.made.Add(1)
	return nil
}

func (m *memoryStore) totals(context.Context) (totals, error) {
	return totals{count: int(m.count.Load()), made: int(m.made.Load())}, nil
}
