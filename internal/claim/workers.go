package claim

import (
	"context"
	"sync"
)

// maxIdle is how many workers wait for more work.
const maxIdle = 16

// workers runs funcs in goroutines that it uses again. A client library goes deep, and a fresh
// goroutine would have to grow its stack for every call, which costs more than all else here.
type workers struct {
	mu     sync.Mutex
	idle   []chan func()
	closed bool
	alive  group
}

// run runs f in a goroutine.
func (w *workers) run(f func()) {
	w.mu.Lock()
	if last := len(w.idle) - 1; last >= 0 {
		todo := w.idle[last]
		w.idle = w.idle[:last]
		w.mu.Unlock()
		todo <- f
		return
	}
	w.mu.Unlock()
	todo := make(chan func(), 1) // so that run never waits
	todo <- f
	w.alive.goes(func() {
		for f := range todo {
			f()
			if !w.rest(todo) {
				return
			}
		}
	})
}

// rest makes a worker idle, or reports that it is not needed any more.
func (w *workers) rest(todo chan func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) == maxIdle {
		return false
	}
	w.idle = append(w.idle, todo)
	return true
}

// close ends the workers, those at work when they are done, and waits for them or for ctx.
func (w *workers) close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	for _, todo := range w.idle {
		close(todo)
	}
	w.idle = nil
	w.mu.Unlock()
	return w.alive.wait(ctx)
}
