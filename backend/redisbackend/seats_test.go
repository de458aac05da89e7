package redisbackend

import (
	"context"
	"testing"

	"github.com/concord-go/concord/lease"
)

// The index of seats expires a while after the longest of them, which renewals move without
// touching it. It is rebuilt from the claims themselves.
func TestSeatsExpired(t *testing.T) {
	be, _, client := counted(t)
	share := func() lease.Claim {
		c := claim("k")
		c.Limit, c.Queue = 2, false
		return c
	}
	first, second, third := share(), share(), share()
	acquire(t, be, first, lease.Granted)
	acquire(t, be, second, lease.Granted)
	_, _, seats, _ := be.names.lease("k")
	if n := client.Del(context.Background(), seats).Val(); n != 1 {
		t.Fatal("there is no index of seats")
	}
	renew(t, be, first, false, lease.Granted)
	renew(t, be, second, false, lease.Granted)
	acquire(t, be, third, lease.Held)
	if n := client.ZCard(context.Background(), seats).Val(); n != 2 {
		t.Errorf("%d seats after the first look, want 2", n)
	}
	release(t, be, first, lease.WasHeld)
	acquire(t, be, third, lease.Granted)
	acquire(t, be, share(), lease.Held)
}
