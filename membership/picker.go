package membership

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Strategy says how a [Picker] chooses.
type Strategy uint8

// The strategies. All of them heed the weights of the members.
const (
	// RoundRobin takes the members in turn: the fewest surprises, where calls are alike.
	RoundRobin Strategy = iota
	// LeastInFlight takes the member with the fewest calls of this Picker under way, looking at all.
	LeastInFlight
	// PowerOfTwo takes the better of two random members: nearly as even as LeastInFlight, at a cost
	// that does not grow with the group, and many clients do not all run to the same member (M.
	// Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001).
	PowerOfTwo
)

// String returns the name of the strategy.
func (s Strategy) String() string {
	names := [...]string{"round robin", "least in flight", "power of two choices"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Picker chooses the member for each call of a client: balancing without a balancer in between. Its
// methods may be called by several goroutines. The zero Picker is not usable; make one with
// [NewPicker]. It needs no closing.
type Picker struct {
	strategy Strategy
	pool     atomic.Pointer[pool]
	filled   chan struct{} // closed with the first Set

	mu sync.Mutex // held by Set
}

// NewPicker returns a Picker that has no members yet: call [Picker.Follow] or [Picker.Set].
func NewPicker(s Strategy) (*Picker, error) {
	if s > PowerOfTwo {
		return nil, fmt.Errorf("membership: new picker: %w", &InvalidError{Field: "strategy", Problem: "must be one of the constants"})
	}
	return &Picker{strategy: s, filled: make(chan struct{})}, nil
}

// Follow keeps the Picker up to date with the group until ctx ends or the group is closed, and returns
// the error of [Group.Watch]. Run it in a goroutine of its own.
func (p *Picker) Follow(ctx context.Context, g *Group) error {
	for view, err := range g.Watch(ctx) {
		if err != nil {
			return err
		}
		p.Set(view.Members)
	}
	return nil
}

// Set replaces the members. Those that are not among them are not picked any more; calls to them that
// are under way are not touched. A weight below 1 counts as 1, one above [MaxWeight] as that.
func (p *Picker) Set(members []Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.pool.Load() == nil
	p.pool.Store(p.pool.Load().with(members))
	if first {
		close(p.filled)
	}
}

// Pick is a member that was chosen for a call. Do not copy it.
type Pick struct {
	Member Member // the one to call
	load   *atomic.Int64
}

// Done says that the call is over. It must be called once for each Pick; further calls change nothing.
func (p *Pick) Done() {
	if p.load != nil {
		p.load.Add(-1)
		p.load = nil
	}
}

// Pick chooses a member, one of those with the IDs in except only if there is no other: to try again
// elsewhere. It waits for the first Set or view, and for nothing else.
//
// The error matches the error of ctx, or [ErrNoMember].
func (p *Picker) Pick(ctx context.Context, except ...string) (Pick, error) {
	pool := p.pool.Load()
	if pool == nil {
		select {
		case <-p.filled:
			pool = p.pool.Load()
		case <-ctx.Done():
			return Pick{}, fmt.Errorf("membership: pick: %w", ctx.Err())
		}
	}
	if len(pool.members) == 0 {
		return Pick{}, fmt.Errorf("membership: pick: %w", ErrNoMember)
	}
	var i int
	switch p.strategy {
	case LeastInFlight:
		i = pool.least(except)
	case PowerOfTwo:
		i = pool.other(pool.better(), except)
	default:
		i = pool.other(pool.next(), except)
	}
	load := pool.loads[i]
	load.Add(1)
	return Pick{Member: pool.members[i], load: load}, nil
}

// other returns i, or the next after it that is not excepted.
func (p *pool) other(i int, except []string) int {
	if len(except) == 0 {
		return i
	}
	for n := range p.members {
		if j := (i + n) % len(p.members); !slices.Contains(except, p.members[j].ID) {
			return j
		}
	}
	return i
}
