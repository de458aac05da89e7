package membership

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/internal/claim"
)

// sayTime is how long a member that leaves may take to say so.
const sayTime = 300 * time.Millisecond

// Registration is a member's place in its group. When it is lost, because the engine could not be
// reached in time or has lost its data, the member joins again as soon as it can; Hooks tell of both.
// Registrations come from [Group.Join]; the zero Registration is not usable. Its methods may be called
// by several goroutines.
type Registration struct {
	group  *Group
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when keep has returned
	turn   chan struct{} // held by the update that runs

	mu     sync.Mutex
	member Member
	hold   *claim.Hold
}

func newRegistration(ctx context.Context, g *Group, m Member) *Registration {
	m.Meta = slices.Clone(m.Meta)
	r := &Registration{group: g, member: m, done: make(chan struct{}), turn: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return r
}

// Member returns what others see, or will when the member has joined again.
func (r *Registration) Member() Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.member
	m.Meta = slices.Clone(m.Meta)
	return m
}

func (r *Registration) current() (*claim.Hold, Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hold, r.member
}

// Valid reports whether the member is in the group, and will be for need from now, if nobody ends it.
// It asks no one.
func (r *Registration) Valid(need time.Duration) bool {
	hold, _ := r.current()
	return r.ctx.Err() == nil && hold.Valid(need)
}

// Context has the values of the context given to Join, not its cancellation. It ends when the member
// has left for good: by Leave or Close, or because joining again made no sense. [context.Cause] then
// returns a [*LostError] with the cause Resigned, Closed or Revoked, or what matches [ErrDuplicate] or
// [ErrConflict].
func (r *Registration) Context() context.Context { return r.ctx }

// Update replaces what others see of the member; the ID must stay. Of several updates the last one
// counts.
//
// The error matches [ErrInvalid], [ErrNotHeld] if the member has left or was just lost, the error of
// ctx, [ErrUnavailable] or [ErrClosed]. After all but the first the update is told when the member
// joins again; it may also be repeated.
func (r *Registration) Update(ctx context.Context, m Member) error {
	const op = "update"
	g := r.group
	l := limits(m.validate())
	l.check(m.ID == r.member.ID, "ID", "must stay %q", r.member.ID)
	if len(l) > 0 {
		return g.wrap(op, errors.Join(l...))
	}
	m.Meta = slices.Clone(m.Meta)
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return g.wrap(op, ctx.Err())
	}
	r.mu.Lock()
	r.member = m
	hold := r.hold
	r.mu.Unlock()
	return g.wrap(op, hold.Update(ctx, m.encode()))
}

// Leave takes the member out of the group. It works with a context that has ended, whose values alone
// it uses, and may be called more than once. Others learn of it at once where they can, see
// [Group.Watch], so go on serving for a moment.
//
// The error matches [ErrUncertain] if the engine did not confirm it in a short time; the member then
// ends with its TTL at the latest.
func (r *Registration) Leave(ctx context.Context) error {
	hold, _ := r.current()
	r.cancel(&LostError{Key: hold.Key(), Token: hold.Token(), Cause: Resigned})
	hold, _ = r.current() // after the cancellation, so that keep releases any later one
	r.say(ctx, hold)
	err := hold.Release(ctx)
	<-r.done
	if errors.Is(err, ErrNotHeld) {
		err = nil // it was lost before
	}
	return r.group.wrap("leave", err)
}

// say tells others that the end of the seat will not be a loss. It is worth one short try.
func (r *Registration) say(ctx context.Context, hold *claim.Hold) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sayTime)
	defer cancel()
	if hold.Valid(0) {
		_ = hold.Update(ctx, leaving)
	}
}

// keep joins again after each loss, until there is no sense in it.
func (r *Registration) keep() {
	defer close(r.done)
	for {
		hold, m := r.current()
		<-hold.Context().Done()
		why := context.Cause(hold.Context())
		if final(why) {
			r.cancel(why)
		}
		r.group.opt.Hooks.Ended(Info{ID: m.ID, Held: time.Since(hold.Since()), Err: why, Final: r.ctx.Err() != nil})
		if r.ctx.Err() != nil || !r.again(hold) {
			return
		}
	}
}

// final reports whether a member that was lost for that reason stays away.
func final(why error) bool {
	var lost *LostError
	return !errors.As(why, &lost) || lost.Cause == Resigned || lost.Cause == Closed || lost.Cause == Revoked
}

// again joins again, and reports false if the member has left for good.
func (r *Registration) again(lost *claim.Hold) bool {
	g := r.group
	start := time.Now()
	for pause := time.Duration(0); ; {
		_ = lost.Release(r.ctx) // what is left of it is not another member; if it fails, it ends by itself
		_, m := r.current()
		hold, err := g.enter(r.ctx, &m)
		if err == nil {
			return r.adopt(hold, &m, start)
		}
		err = g.wrap("join", err)
		if r.ctx.Err() == nil {
			g.opt.Hooks.Failed(Info{ID: m.ID, Err: err})
		}
		if errors.Is(err, ErrClosed) || errors.Is(err, ErrDuplicate) || errors.Is(err, ErrConflict) {
			r.cancel(err)
		}
		if r.ctx.Err() != nil {
			return false
		}
		pause = min(max(2*pause, g.opt.TTL/20), g.opt.TTL/8) // watchers wait for TTL/2
		_ = g.keeper.Pause(r.ctx, pause/2+rand.N(pause))     // its end is noticed by enter
	}
}

// adopt goes on with a new hold, unless the member has left meanwhile. told is what others see.
func (r *Registration) adopt(hold *claim.Hold, told *Member, start time.Time) bool {
	g := r.group
	r.mu.Lock()
	r.hold = hold
	m := r.member
	r.mu.Unlock()
	if r.ctx.Err() != nil {
		_ = hold.Release(r.ctx) // if it fails, the engine ends the claim
		return false
	}
	g.opt.Hooks.Joined(Info{ID: m.ID, Again: true, Wait: time.Since(start)})
	if !m.equal(told) {
		if err := r.Update(r.ctx, m); err != nil {
			g.opt.Hooks.Failed(Info{ID: m.ID, Err: err})
		}
	}
	return true
}
