package claim

import (
	"context"
	"sync"
)

// group counts goroutines and operations. Unlike a sync.WaitGroup it can be waited for with a
// context, and may grow while it is waited for.
type group struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to zero; nil while nobody waits
}

func (g *group) add() {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
}

func (g *group) done() {
	g.mu.Lock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
	g.mu.Unlock()
}

// goes runs f in a counted goroutine.
func (g *group) goes(f func()) {
	g.add()
	go func() {
		defer g.done()
		f()
	}()
}

// wait returns nil when the count is zero, or the error of ctx.
func (g *group) wait(ctx context.Context) error {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
