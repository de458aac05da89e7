package workers

import (
	"context"
	"sync"
)

// maxIdle is how many workers wait for more work.
const maxIdle = 16

// Pool runs funcs in goroutines that it uses again. The zero Pool is ready to use; it must be closed and not
// be copied. Its methods may be called by several goroutines.
type Pool struct {
	mu     sync.Mutex
	idle   []chan func()
	closed bool
	alive  Group
}

// Run runs f in a goroutine, and does not wait for it.
func (p *Pool) Run(f func()) {
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		todo := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		todo <- f
		return
	}
	p.mu.Unlock()
	todo := make(chan func(), 1) // so that Run never waits
	todo <- f
	p.alive.Go(func() {
		for f := range todo {
			f()
			if !p.rest(todo) {
				return
			}
		}
	})
}

// rest makes a worker idle, or reports that it is not needed any more.
func (p *Pool) rest(todo chan func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == maxIdle {
		return false
	}
	p.idle = append(p.idle, todo)
	return true
}

// Close ends the goroutines, those at work when they are done, and waits for them or for ctx.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	for _, todo := range p.idle {
		close(todo)
	}
	p.idle = nil
	p.mu.Unlock()
	return p.alive.Wait(ctx)
}
