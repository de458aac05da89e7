package membership_test

import (
	"context"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// coarse tells the life left in whole seconds, rounded down.
type coarse struct{ lease.Backend }

func (c coarse) Capabilities() lease.Capabilities {
	can := c.Backend.Capabilities()
	can.TTLStep = time.Second
	return can
}

func (c coarse) Seats(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
	seats, next, err := c.Backend.Seats(ctx, key, cursor)
	for i := range seats {
		seats[i].Left = seats[i].Left.Truncate(time.Second)
	}
	return seats, next, err
}

// What an earlier process of the same ID has left is not taken for one that renews, although seconds
// seem to last.
func TestSuccessorOnACoarseEngine(t *testing.T) {
	for after := time.Duration(0); after < time.Second; after += 90 * time.Millisecond {
		bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
			g, err := membership.New(coarse{be.Leases()}, "api", &membership.Options{TTL: 3 * time.Second, Hooks: &membership.Hooks{}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = g.Close(context.Background()) })
			claim := lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: 3 * time.Second, Weight: 1, Owner: "a", Meta: []byte("1 1 3 0 old"), Announce: true}
			if a, err := be.Leases().Acquire(t.Context(), claim); err != nil || a.Status != lease.Granted {
				t.Fatalf("%+v, %v", a, err)
			}
			time.Sleep(after)
			start := time.Now()
			join(t, g, member("a"))
			if d := time.Since(start); d > 4*time.Second {
				t.Errorf("joined after %v", d)
			}
		})
	}
}
