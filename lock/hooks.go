package lock

import (
	"context"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Hooks observe a [Locker], [RWLocker] or [Semaphore]. Every func may be nil. They are called outside locks, by several
// goroutines, on the path of the operation: they must be quick and must not call what they
// observe.
type Hooks struct {
	// AcquireStart begins an acquire of any kind. The context it returns is used for the
	// operation, so that a trace can follow it.
	AcquireStart func(context.Context, Info) context.Context
	// AcquireEnd ends it: with Token, or with Err. Wait is set.
	AcquireEnd func(context.Context, Info)
	// ReleaseEnd ends a Release. Held is set, and Err if it did not go well.
	ReleaseEnd func(context.Context, Info)
	// Begun reports a lease or share that this process has from now on, a key of an AcquireAll that
	// still waits for others too.
	Begun func(Info)
	// Ended reports, once for each that has Begun, that it is over for its holder: with Err (a
	// [*LostError]) if it was lost, without if it was released. Held is set.
	Ended func(Info)
	// Renewed reports a renewal in the background, with Err if it failed. Left says how close to
	// the deadline the answer came: the number that predicts a loss.
	Renewed func(Info)
	// Lost reports that a lease was lost. Held and Err (a [*LostError]) are set.
	Lost func(Info)
	// Cleaned reports the end of a clean-up in the background after an uncertain outcome. Tries is
	// set, and Err if the engine never confirmed it and was left to let the claim expire.
	Cleaned func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Key   string // AcquireAll: the first, or the one that it failed with
	Kind  Kind
	Keys  int // AcquireAll: how many
	Token fence.Token
	Try   bool          // TryAcquire: would not wait
	Wait  time.Duration // how long the acquire took
	Held  time.Duration // how long the lease was held
	Left  time.Duration // how long before the deadline
	Tries int           // requests it took
	Err   error
}

// Kind says what was asked for.
type Kind string

// The kinds.
const (
	KindLock   Kind = "lock"   // [Locker]
	KindRead   Kind = "read"   // [RWLocker]
	KindWrite  Kind = "write"  // [RWLocker]
	KindPermit Kind = "permit" // [Semaphore]
)

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var all []Hooks
	for _, h := range hooks {
		if h != nil {
			all = append(all, *h.filled())
		}
	}
	each := func(call func(*Hooks)) {
		for i := range all {
			call(&all[i])
		}
	}
	return &Hooks{
		AcquireStart: func(ctx context.Context, i Info) context.Context {
			each(func(h *Hooks) { ctx = h.AcquireStart(ctx, i) })
			return ctx
		},
		AcquireEnd: func(ctx context.Context, i Info) { each(func(h *Hooks) { h.AcquireEnd(ctx, i) }) },
		ReleaseEnd: func(ctx context.Context, i Info) { each(func(h *Hooks) { h.ReleaseEnd(ctx, i) }) },
		Begun:      func(i Info) { each(func(h *Hooks) { h.Begun(i) }) },
		Ended:      func(i Info) { each(func(h *Hooks) { h.Ended(i) }) },
		Renewed:    func(i Info) { each(func(h *Hooks) { h.Renewed(i) }) },
		Lost:       func(i Info) { each(func(h *Hooks) { h.Lost(i) }) },
		Cleaned:    func(i Info) { each(func(h *Hooks) { h.Cleaned(i) }) },
	}
}

// filled returns a copy in which no func is nil.
func (h *Hooks) filled() *Hooks {
	var f Hooks
	if h != nil {
		f = *h
	}
	if f.AcquireStart == nil {
		f.AcquireStart = func(ctx context.Context, _ Info) context.Context { return ctx }
	}
	for _, end := range []*func(context.Context, Info){&f.AcquireEnd, &f.ReleaseEnd} {
		if *end == nil {
			*end = func(context.Context, Info) {}
		}
	}
	for _, event := range []*func(Info){&f.Begun, &f.Ended, &f.Renewed, &f.Lost, &f.Cleaned} {
		if *event == nil {
			*event = func(Info) {}
		}
	}
	return &f
}

// events translates what the keeper reports in the background.
func (h *Hooks) events() claim.Events {
	about := func(c *claim.Hold) Info {
		return Info{Key: c.Key(), Kind: Kind(c.Kind()), Token: c.Token(), Held: time.Since(c.Since())}
	}
	return claim.Events{
		Begun: func(c *claim.Hold) {
			h.Begun(Info{Key: c.Key(), Kind: Kind(c.Kind()), Token: c.Token()})
		},
		Released: func(c *claim.Hold) { h.Ended(about(c)) },
		Renewed: func(c *claim.Hold, left time.Duration, err error) {
			h.Renewed(Info{Key: c.Key(), Kind: Kind(c.Kind()), Token: c.Token(), Left: left, Err: err})
		},
		Lost: func(c *claim.Hold, err *lease.LostError) {
			i := about(c)
			i.Err = err
			h.Lost(i)
			h.Ended(i)
		},
		Cleaned: func(key string, tries int, err error) {
			h.Cleaned(Info{Key: key, Tries: tries, Err: err})
		},
	}
}
