package claim

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/workers"
	"github.com/concord-go/concord/lease"
)

// Options configure a Keeper. The front has validated them.
type Options struct {
	TTL     time.Duration
	Margin  time.Duration // 0 = Margin of the life left
	Window  time.Duration // first life of a pushed grant
	Owner   string
	Meta    []byte
	NoRenew bool
	Delay   time.Duration // lock-delay
	MaxHold time.Duration // 0 = no bound
	Epoch   int
	Asked   func(reason string) lease.Cause // of the end of a hold that was asked to leave; nil = always Revoked
	Events  Events
}

// Events tells the front what happens in the background. Every func must be set; they are called
// outside locks, by several goroutines.
//
// Each hold that has Begun is reported once more when it ends: it is either Lost or Released.
type Events struct {
	Begun    func(h *Hold)
	Released func(h *Hold)                                // before the engine is asked
	Renewed  func(h *Hold, left time.Duration, err error) // left: time to the deadline when the answer came
	Lost     func(h *Hold, err *lease.LostError)
	Cleaned  func(key string, tries int, err error) // a background clean-up ended
}

// Keeper makes and keeps the claims of one front object. Its methods may be called by several
// goroutines.
type Keeper struct {
	backend lease.Backend
	opt     Options
	prompt  bool // the engine keeps deadlines
	calls   calls
	workers workers.Pool
	gates   gates

	running workers.Group // every goroutine and every operation in progress
	closing chan struct{} // closed when Close begins
	wake    chan struct{} // the renewal loop should look again

	mu      sync.Mutex
	closed  bool
	looping bool
	used    bool      // a hold began since the loop last looked
	look    time.Time // when it looks again by itself
	holds   schedule

	ticked atomic.Pointer[time.Time] // when the loop last compared the two clocks

	elapsed func(from, to time.Time) (wall, monotonic time.Duration)
}

// New returns a Keeper. It starts no goroutine before the first hold.
func New(b lease.Backend, o Options) *Keeper {
	return &Keeper{
		backend: b, opt: o, prompt: b.Capabilities().Prompt,
		closing: make(chan struct{}), wake: make(chan struct{}, 1),
		elapsed: elapsed,
	}
}

// Backend returns what the Keeper was made with.
func (k *Keeper) Backend() lease.Backend { return k.backend }

// Ask makes one call to the engine for the front, with the Keeper's timeout, retried until it is
// answered, ctx ends, or the engine has been silent for too long.
func Ask[T any](ctx context.Context, k *Keeper, f func(context.Context) (T, error)) (T, error) {
	var none T
	if err := k.enter(); err != nil {
		return none, err
	}
	defer k.running.Done()
	start := time.Now()
	for {
		v, err := call(ctx, k, attemptTimeout(k.opt.TTL), ordinary, f)
		if err == nil || !retryable(ctx, err) || time.Since(start) > patience(k.opt.TTL, false) {
			return v, err
		}
		if err := k.Pause(ctx, backoff(k.opt.TTL)); err != nil {
			return none, err
		}
	}
}

// enter counts an operation that Close must wait for.
func (k *Keeper) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return lease.ErrClosed
	}
	k.running.Add()
	return nil
}

// Go runs f in a goroutine that Close waits for, unless the Keeper is closed.
func (k *Keeper) Go(f func()) error {
	if err := k.enter(); err != nil {
		return err
	}
	go func() {
		defer k.running.Done()
		f()
	}()
	return nil
}

// Pause waits for d and returns early, with the reason, when ctx ends or the Keeper closes.
func (k *Keeper) Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-k.closing:
		return lease.ErrClosed
	}
}

// adopt enters a new hold into the schedule and starts the loop with the first one.
func (k *Keeper) adopt(h *Hold) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return lease.ErrClosed
	}
	k.holds.add(h)
	k.used = true
	if !k.looping {
		k.looping = true
		now := time.Now()
		k.ticked.Store(&now)
		k.look = now // it begins with a look
		k.running.Go(k.loop)
	}
	if h.due.Before(k.look) {
		k.nudge()
	}
	return nil
}

// schedule moves the next renewal of a hold.
func (k *Keeper) schedule(h *Hold, due time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holds.move(h, due); due.Before(k.look) {
		k.nudge()
	}
}

// drop takes a hold out of the schedule.
func (k *Keeper) drop(h *Hold) {
	k.mu.Lock()
	k.holds.remove(h)
	k.mu.Unlock()
}

func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Close ends every hold with the cause Closed, makes waiting operations give up, releases what is
// held, and returns when all goroutines have ended or ctx has ended; then the error says how many
// calls to the engine have not returned. The second Close only waits.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock()
	if !k.closed {
		k.closed = true
		close(k.closing)
		holds := k.holds.drain()
		k.running.Go(func() { k.releaseAll(holds) })
	}
	k.mu.Unlock()

	if err := cmp.Or(k.running.Wait(ctx), k.workers.Close(ctx)); err != nil {
		return fmt.Errorf("%d calls to the engine have not returned: %w", k.calls.left(), err)
	}
	return nil
}

// releaseAll ends and releases holds, a few at a time.
func (k *Keeper) releaseAll(holds []*Hold) {
	for _, h := range holds {
		h.lose(lease.Closed, "", nil)
	}
	Each(len(holds), func(i int) {
		holds[i].finish(context.Background(), true) // what fails is reported by Events.Cleaned
	})
}

// token joins the epoch and the engine's number.
func (k *Keeper) token(sequence uint64) (fence.Token, error) {
	return fence.MakeToken(k.opt.Epoch, sequence)
}

func (k *Keeper) margin(left time.Duration) time.Duration {
	if k.opt.Margin > 0 {
		return k.opt.Margin
	}
	return Margin(left)
}
