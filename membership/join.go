package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// maxEntries is how many members of a Group ask for their seats at the same time. More would be in each
// other's way: a crowd that comes at once, or comes back at once, would ask again before it is answered.
const maxEntries = 4

// Join puts m into the group and returns when others see it. It stays until Leave or Close: it is
// renewed in the background, and joins again by itself when it was lost, see [Registration]. The end
// of ctx after that changes nothing.
//
// An ID counts once, for whoever came first. What an earlier process of the same ID has left behind
// is waited for, at most for the TTL; a member that goes on renewing is a mistake in the set-up:
// [*DuplicateError]. Join reads the group once, longer ones in parts;
// members of one Group that join at the same time read it together.
//
// The error may also match [ErrInvalid], the error of ctx, with [ErrUncertain] if ctx ended over an
// unanswered request, [ErrUnavailable] if the engine answered nothing for 2 s to 30 s, depending on
// the TTL, [ErrClosed] or [ErrConflict]. The member is not in the group then.
func (g *Group) Join(ctx context.Context, m Member) (*Registration, error) {
	const op = "join"
	start := time.Now()
	if errs := m.validate(); len(errs) > 0 {
		return nil, g.wrap(op, errors.Join(errs...))
	}
	r := newRegistration(ctx, g, m)
	hold, err := g.enter(ctx, &r.member)
	if err != nil {
		return nil, g.wrap(op, err)
	}
	r.hold = hold
	if err := g.keeper.Go(r.keep); err != nil {
		_ = hold.Release(ctx) // Close did it
		return nil, g.wrap(op, err)
	}
	g.opt.Hooks.Joined(Info{ID: m.ID, Wait: time.Since(start)})
	return r, nil
}

// enter claims a seat and returns when no older one has the ID.
func (g *Group) enter(ctx context.Context, m *Member) (*claim.Hold, error) {
	hold, err := g.seat(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := g.alone(ctx, m.ID, hold); err != nil {
		_ = hold.Release(ctx) // if it fails, the engine ends the claim
		return nil, err
	}
	return hold, nil
}

// seat asks for a seat when it is its turn.
func (g *Group) seat(ctx context.Context, m *Member) (*claim.Hold, error) {
	late := time.NewTimer(g.patience())
	defer late.Stop()
	select {
	case g.entries <- struct{}{}:
		defer func() { <-g.entries }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, errCrowded
	}
	return g.keeper.Acquire(ctx, claim.Wish{
		Key: key(g.name), Weight: 1, Limit: 0, Queue: true, Kind: m.ID, Owner: m.ID, Meta: m.encode(),
		Announce: g.backend().Capabilities().Announce,
	})
}

// errCrowded means that others of the Group have asked for too long.
var errCrowded = fmt.Errorf("%w: others are waiting for it to answer", ErrUnavailable)

// alone returns when no older seat has the ID. The order of tokens decides, so of two that enter at
// the same time one stays.
func (g *Group) alone(ctx context.Context, id string, hold *claim.Hold) error {
	var first lease.Party
	var since time.Time
	answered := time.Now()
	for {
		other, err := g.older(ctx, id, hold.Token().Sequence())
		switch {
		case errors.Is(err, ErrUnavailable) && hold.Lost() == nil && time.Since(answered) < g.patience():
			continue // the engine is busy: a crowd may be joining
		case err != nil || other.Token == 0:
			return err
		}
		answered = time.Now()
		if other.Token != first.Token {
			first, since = other, time.Now()
		}
		if g.renewed(first, other, time.Since(since)) {
			m, _ := decode(id, other.Meta)
			return &DuplicateError{ID: id, Addr: m.Addr, Left: other.Left}
		}
		if err := g.keeper.Pause(ctx, min(max(other.Left, 10*time.Millisecond), g.opt.TTL/4)); err != nil {
			return err
		}
		if lost := hold.Lost(); lost != nil {
			return lost
		}
	}
}

// patience is how long an engine that does not tell who is in the group is borne, as by a claim that
// waits.
func (g *Group) patience() time.Duration { return min(max(g.opt.TTL, 2*time.Second), 30*time.Second) }

// renewed reports whether a seat that looked like first has been renewed within a time. An engine that
// does not measure the life left says the same of it each time; then only a seat that has outlived it
// was renewed. One that keeps whole steps of time rounds what is left of them down.
func (g *Group) renewed(first, now lease.Party, within time.Duration) bool {
	capable := g.backend().Capabilities()
	ends := first.Left + capable.TTLStep + capable.ExpiryLate + g.opt.TTL/10
	return within > ends || now.Left != first.Left && now.Left+within > ends
}

// older returns a seat with the ID that is older than token, or none.
func (g *Group) older(ctx context.Context, id string, token uint64) (found lease.Party, err error) {
	seats, err := g.census(ctx)
	for _, p := range seats[id] {
		if p.Token < token {
			found = p
		}
	}
	return found, err
}
