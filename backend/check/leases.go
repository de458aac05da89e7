package check

import (
	"context"
	"time"

	"github.com/concord-go/concord/lease"
)

// Leases uses every verb of the port, on a key that nobody else uses, and returns the first
// failure. So a missing permission is found at the start and not when a lock is lost. Of the claim
// nothing is left but what the engine keeps of one that was released without being sure.
func Leases(ctx context.Context, port lease.Backend, key string, ttl time.Duration) error {
	if err := rehearse(ctx, port, key, ttl, 1); err != nil || !port.Capabilities().Limits {
		return err
	}
	return rehearse(ctx, port, key, ttl, 2)
}

// rehearse lets one claim go through its life.
func rehearse(ctx context.Context, port lease.Backend, key string, ttl time.Duration, limit int64) error {
	c := lease.Claim{Key: key, Attempt: lease.NewAttempt(),
		TTL: ttl, Queue: true, Weight: 1, Limit: limit}
	a, err := port.Acquire(ctx, c)
	if err != nil {
		return err
	}
	items := []lease.Renewal{
		{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL},
		{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: true},
	}
	for _, a := range port.Renew(ctx, items) {
		if a.Err != nil {
			return a.Err
		}
	}
	if _, err := port.Inspect(ctx, c.Key); err != nil {
		return err
	}
	if _, err := port.Revoke(ctx, lease.Revocation{Key: c.Key, Token: a.Token}); err != nil {
		return err
	}
	_, err = port.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true})
	return err
}
