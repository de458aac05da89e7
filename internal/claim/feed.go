package claim

import (
	"context"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

// maxChanges is how many changes may wait for a slow reader. More are one gap.
const maxChanges = 1024

// observeAgain is the pause before a failed observation is begun again.
const observeAgain = 500 * time.Millisecond

// Feed is an observation of a key, whose changes wait until they are read.
type Feed struct {
	closing <-chan struct{}
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the observation has ended
	err     error         // why; read after ended
	signal  chan struct{} // there may be changes

	mu   sync.Mutex
	list []lease.Change
}

// Feed observes key until ctx ends, the Keeper closes, or it is stopped, which it must be. While the
// engine is unavailable it tells failed and tries again.
func (k *Keeper) Feed(ctx context.Context, key string, failed func(error)) *Feed {
	ctx, cancel := context.WithCancel(ctx)
	f := &Feed{closing: k.closing, cancel: cancel, ended: make(chan struct{}), signal: make(chan struct{}, 1)}
	go func() {
		defer close(f.ended)
		for {
			f.err = k.backend.Observe(ctx, key, f.put)
			if !retryable(ctx, f.err) {
				return
			}
			failed(f.err)
			if k.Pause(ctx, observeAgain) != nil {
				return
			}
		}
	}()
	return f
}

// Next waits for changes and returns them in order, or none when wake, which may be nil, sends. The
// error says why there will be no more.
func (f *Feed) Next(wake <-chan time.Time) ([]lease.Change, error) {
	select {
	case <-f.signal:
		return f.take(), nil
	case <-wake:
		return nil, nil
	case <-f.ended:
		return nil, f.err
	case <-f.closing:
		return nil, lease.ErrClosed
	}
}

// Stop ends the observation and waits for it.
func (f *Feed) Stop() {
	f.cancel()
	<-f.ended
}

func (f *Feed) put(c lease.Change) {
	f.mu.Lock()
	if len(f.list) == maxChanges {
		f.list = append(f.list[:0], lease.Change{Kind: lease.ChangeGap})
	}
	f.list = append(f.list, c)
	f.mu.Unlock()
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

func (f *Feed) take() []lease.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.list
	f.list = nil
	return list
}
