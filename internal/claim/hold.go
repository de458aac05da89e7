package claim

import (
	"context"
	"sync"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

type state uint8

const (
	asking state = iota
	holding
	lost
	released
)

// Hold is one claim: asked for, held, and at last lost or released. Its exported methods may be
// called by several goroutines once Acquire has returned it.
type Hold struct {
	keeper *Keeper
	kind   string
	claim  lease.Claim
	stop   func() // ends the watch
	ctx    context.Context
	cancel context.CancelCauseFunc
	signal chan struct{} // while asking: something was pushed

	// Used by the asking goroutine alone, and by the release after it.
	placed    bool // the engine may know this attempt
	uncertain bool // an acquire of it got no answer

	mu       sync.Mutex
	state    state
	pushed   lease.Event // while asking: the last pushed grant
	sequence uint64      // the engine's number of the latest grant heard of
	token    fence.Token // the same with the epoch, once held
	since    time.Time
	base     time.Time     // what the present belief counts from
	life     time.Duration // how long it was good for then
	end      time.Time     // when it stops
	timer    *time.Timer   // fires at end
	longest  *time.Timer   // fires after MaxHold, or nil
	weight   int64
	metaSeq  uint64        // of the last update
	heir     lease.Attempt // goes first when this one is released
	failure  error         // of the renewals since the last one answered
	asked    bool
	grace    *time.Timer // after asked: when the claim is released all the same
	loss     *lease.LostError

	once   sync.Once
	result error

	due   time.Time // guarded by keeper.mu, as is index
	index int
}

func (k *Keeper) newHold(ctx context.Context, w Wish) *Hold {
	h := &Hold{keeper: k, kind: w.Kind, signal: make(chan struct{}, 1), claim: k.claim(w), weight: w.Weight}
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return h
}

// Key returns what is held.
func (h *Hold) Key() string { return h.claim.Key }

// Kind returns what the front called the wish.
func (h *Hold) Kind() string { return h.kind }

// Context ends when the hold is lost or released; its cause is a *lease.LostError.
func (h *Hold) Context() context.Context { return h.ctx }

// Token returns the fencing token of the grant.
func (h *Hold) Token() fence.Token {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.token
}

// Weight returns the share of the limit.
func (h *Hold) Weight() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.weight
}

// Since returns when the hold began.
func (h *Hold) Since() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since
}

// Deadline returns the local instant up to which the hold is believed in; renewals move it.
func (h *Hold) Deadline() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end
}

// Valid reports whether the hold is good for at least need from now.
func (h *Hold) Valid(need time.Duration) bool {
	now := time.Now()
	if h.slept(now) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == holding && now.Add(need).Before(h.end)
}

// Lost returns the loss if the hold was lost, and nil if it is held, was asked for, or was released
// in time.
func (h *Hold) Lost() *lease.LostError {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != lost {
		return nil
	}
	return h.loss
}

// begin makes the hold begin from an answer: left of the validity remained when it was given to
// the request sent at sent. It returns false when that time is over already.
func (h *Hold) begin(sent time.Time, left time.Duration, sequence uint64) (bool, error) {
	return h.beginUntil(sent, left, deadline(sent, left, h.keeper.margin(left)), sequence)
}

// beginPushed is begin from a pushed grant, if there is one.
func (h *Hold) beginPushed() (bool, error) {
	h.mu.Lock()
	e := h.pushed
	h.pushed = lease.Event{}
	h.mu.Unlock()
	if e.Kind != lease.EventGranted {
		return false, nil
	}
	now := time.Now()
	left := e.Until.Sub(now)
	return h.beginUntil(now, left, e.Until.Add(-h.keeper.margin(left)), e.Token)
}

func (h *Hold) beginUntil(base time.Time, left time.Duration, end time.Time, sequence uint64) (bool, error) {
	now := time.Now()
	if !now.Before(end) {
		return false, nil
	}
	token, err := h.keeper.token(sequence)
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	if sequence < h.sequence { // an old answer: a later grant has been heard of
		h.mu.Unlock()
		return false, nil
	}
	h.state = holding
	h.token, h.sequence = token, sequence
	h.since, h.base, h.life, h.end = now, base, left, end
	h.timer = time.AfterFunc(end.Sub(now), h.expire)
	if most := h.keeper.opt.MaxHold; most > 0 {
		h.longest = time.AfterFunc(most, h.outstay)
	}
	h.due = h.nextRenewal(base, left/3)
	h.mu.Unlock()
	events := &h.keeper.opt.Events
	events.Begun(h)
	if err := h.keeper.adopt(h); err != nil {
		h.mu.Lock()
		still := h.state == holding
		h.state = lost // its caller has not seen it held
		h.stopTimers()
		h.mu.Unlock()
		if still {
			events.Released(h)
		}
		return false, err
	}
	return true, nil
}

// stopTimers stops what could end the hold by itself. The caller holds h.mu.
func (h *Hold) stopTimers() {
	h.timer.Stop()
	if h.longest != nil {
		h.longest.Stop()
	}
}

// notify takes what the backend pushes.
func (h *Hold) notify(e lease.Event) {
	h.mu.Lock()
	s, sequence := h.state, h.sequence
	if s == asking && e.Kind == lease.EventGranted && e.Token > sequence {
		h.pushed, h.sequence = e, e.Token
	}
	h.mu.Unlock()
	switch {
	case s == asking:
		select {
		case h.signal <- struct{}{}:
		default:
		}
	case s != holding:
	case e.Kind == lease.EventCheck:
		h.keeper.schedule(h, time.Now())
	case e.Token != sequence: // speaks of an earlier grant
	case e.Kind == lease.EventRevoked:
		h.lose(lease.Revoked, e.Ask.Reason, nil)
	case e.Kind == lease.EventAsked:
		h.leave(e.Ask)
	}
}
