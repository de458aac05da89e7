package lock

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Party is a holder or a waiter as Inspect sees it.
type Party struct {
	Owner  string        // its Options.Owner
	Meta   []byte        // its Options.Meta
	Token  fence.Token   // 0 while waiting; serves Revoke
	Weight int64         // its share of the limit
	Left   time.Duration // until it ends unless it is renewed
	Asked  bool          // it was asked to leave
}

// State is what Inspect found.
type State struct {
	Limit   int64   // in force, 0 if nobody holds the key or waits for it
	Holder  *Party  // the first of Holders, nil if nobody holds the key
	Holders []Party // in the order of their grants, at most 100; of a [Locker] at most one
	Waiters []Party // live waiters in order, at most 100
	Waiting int     // length of the queue; some may be dead
}

// Inspect tells who holds key and who waits. The answer is true at the moment it is given and may
// be false when it arrives: show it to people, and do not decide by it.
func (f *front) Inspect(ctx context.Context, key string) (State, error) {
	if err := lease.ValidateKey(key); err != nil {
		return State{}, fmt.Errorf("lock: inspect: %w", err)
	}
	s, err := claim.Ask(ctx, f.keeper, func(ctx context.Context) (lease.State, error) {
		return f.keeper.Backend().Inspect(ctx, key)
	})
	if err != nil {
		return State{}, f.wrap("inspect", key, 0, err)
	}
	state := State{Limit: s.Limit, Waiting: s.Waiting}
	for _, p := range s.Holders {
		state.Holders = append(state.Holders, f.party(p))
	}
	if len(state.Holders) > 0 {
		state.Holder = &state.Holders[0]
	}
	for _, p := range s.Waiters {
		state.Waiters = append(state.Waiters, f.party(p))
	}
	return state, nil
}

// party translates what the engine says of a claim. Engines number grants without the epoch.
func (f *front) party(p lease.Party) Party {
	token, err := fence.MakeToken(f.opt.Epoch, p.Token)
	if err != nil {
		token = 0 // a waiter
	}
	return Party{Owner: p.Owner, Meta: p.Meta, Token: token, Weight: p.Weight, Left: p.Left, Asked: p.Asked}
}
