package lock

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Party is a holder or a waiter as [Locker.Inspect] sees it.
type Party struct {
	Owner string        // its Options.Owner
	Meta  []byte        // its Options.Meta
	Token fence.Token   // 0 while waiting
	Left  time.Duration // until it ends unless it is renewed
}

// State is what [Locker.Inspect] found.
type State struct {
	Holder  *Party  // nil if nobody holds the key
	Waiters []Party // live waiters in order, at most 100
	Waiting int     // length of the queue; some may be dead
}

// Inspect tells who holds key and who waits. The answer is true at the moment it is given and may
// be false when it arrives: show it to people, and do not decide by it.
func (l *Locker) Inspect(ctx context.Context, key string) (State, error) {
	if err := lease.ValidateKey(key); err != nil {
		return State{}, fmt.Errorf("lock: inspect: %w", err)
	}
	s, err := claim.Ask(ctx, l.keeper, func(ctx context.Context) (lease.State, error) {
		return l.keeper.Backend().Inspect(ctx, key)
	})
	if err != nil {
		return State{}, l.wrap("inspect", key, err)
	}
	state := State{Waiting: s.Waiting}
	if len(s.Holders) > 0 {
		holder := l.party(s.Holders[0])
		state.Holder = &holder
	}
	for _, w := range s.Waiters {
		state.Waiters = append(state.Waiters, l.party(w))
	}
	return state, nil
}

// party translates what the engine says of a claim. Engines number grants without the epoch.
func (l *Locker) party(p lease.Party) Party {
	token, err := fence.MakeToken(l.opt.Epoch, p.Token)
	if err != nil {
		token = 0 // a waiter
	}
	return Party{Owner: p.Owner, Meta: p.Meta, Token: token, Left: p.Left}
}
