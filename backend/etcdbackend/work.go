package etcdbackend

import (
	"context"
	"sync"
)

// work is the background work of a backend object.
type work struct {
	ctx  context.Context // ends when the backend closes
	stop context.CancelFunc

	mu     sync.Mutex // orders all.Add before close's Wait
	closed bool
	all    sync.WaitGroup
}

func newWork() *work {
	ctx, stop := context.WithCancel(context.Background())
	return &work{ctx: ctx, stop: stop}
}

// start runs f in a goroutine, with a ctx that ends when the backend closes. After that it does
// nothing and returns false.
func (w *work) start(f func(ctx context.Context)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.all.Go(func() { f(w.ctx) })
	return true
}

// close ends the work and returns a channel that is closed when all of it has ended.
func (w *work) close() <-chan struct{} {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.all.Wait()
	}()
	return done
}
