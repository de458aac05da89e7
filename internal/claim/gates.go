package claim

import (
	"context"
	"sync"

	"github.com/concord-go/concord/lease"
)

// gates lets one goroutine per key ask the engine at a time, in the order in which they came. So a
// process has at most one waiting claim on a key, however many goroutines want it, and they get
// the key in order.
type gates struct {
	mu   sync.Mutex
	keys map[string][]chan struct{} // those behind the one that is in; present = somebody is in
}

// enter returns when it is the caller's turn for key, or with an error when ctx or the Keeper ended.
func (g *gates) enter(ctx context.Context, closing <-chan struct{}, key string) error {
	g.mu.Lock()
	if g.keys == nil {
		g.keys = make(map[string][]chan struct{})
	}
	line, busy := g.keys[key]
	if !busy {
		g.keys[key] = nil
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.keys[key] = append(line, turn)
	g.mu.Unlock()

	var err error
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-closing:
		err = lease.ErrClosed
	}
	g.mu.Lock()
	line = g.keys[key]
	for i, t := range line {
		if t == turn {
			g.keys[key] = append(line[:i:i], line[i+1:]...)
			g.mu.Unlock()
			return err
		}
	}
	g.mu.Unlock()
	g.leave(key) // it became our turn in the same instant
	return err
}

// leave lets the next goroutine in.
func (g *gates) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	line := g.keys[key]
	if len(line) == 0 {
		delete(g.keys, key)
		return
	}
	g.keys[key] = line[1:]
	close(line[0])
}
