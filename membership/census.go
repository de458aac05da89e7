package membership

import (
	"context"
	"sync"

	"github.com/concord-go/concord/lease"
)

// registry shares what is read of a group: a read costs as much as the group is large, and a crowd
// that joins at the same time would read it as often as it has members.
type registry struct {
	mu   sync.Mutex
	next *census // begins after the one under way
	busy bool    // one is under way
}

// census is all seats by the names of their owners, at some moment.
type census struct {
	done  chan struct{} // closed when it has ended
	seats map[string][]lease.Party
	err   error
}

// census reads the group. The read begins after the call, and serves all who call before that.
func (g *Group) census(ctx context.Context) (map[string][]lease.Party, error) {
	c, err := g.awaited()
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return c.seats, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// awaited returns the next census, which will be taken.
func (g *Group) awaited() (*census, error) {
	r := &g.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next, nil
	}
	c := &census{done: make(chan struct{}), seats: map[string][]lease.Party{}}
	if !r.busy {
		if err := g.keeper.Go(g.count); err != nil {
			return nil, err
		}
		r.busy = true
	}
	r.next = c
	return c, nil
}

// count takes one census after the other, as long as one is awaited.
func (g *Group) count() {
	r := &g.registry
	for {
		r.mu.Lock()
		c := r.next
		r.next, r.busy = nil, c != nil
		r.mu.Unlock()
		if c == nil {
			return
		}
		c.err = g.seats(context.Background(), func(p lease.Party) {
			c.seats[p.Owner] = append(c.seats[p.Owner], p)
		})
		close(c.done)
	}
}
