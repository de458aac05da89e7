package concordhttp

import (
	"context"
	"sync"
)

// turns lets one at a time work on a resource. It remembers only resources somebody works on or
// waits for.
type turns struct {
	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	taken chan struct{} // full while somebody works
	users int           // who works or waits
}

// take waits for the turn on name until ctx ends. leave gives it to the next.
func (t *turns) take(ctx context.Context, name string) (leave func(), err error) {
	t.mu.Lock()
	mine := t.all[name]
	if mine == nil {
		mine = &turn{taken: make(chan struct{}, 1)}
		t.all[name] = mine
	}
	mine.users++
	t.mu.Unlock()
	forget := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.all, name)
		}
	}
	select {
	case mine.taken <- struct{}{}:
		return func() { <-mine.taken; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
