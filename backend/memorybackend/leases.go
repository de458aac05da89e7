package memorybackend

import (
	"context"
	"strconv"
	"time"

	"github.com/concord-go/concord/lease"
)

// leases is the port. It checks arguments; the table does the rest.
type leases struct{ b *Backend }

// Acquire implements [lease.Backend].
func (l leases) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	if err := c.Validate(); err != nil {
		return lease.Answer{}, err
	}
	return do(ctx, l.b, func(t *table, now time.Time) lease.Answer { return t.acquire(c, now) })
}

// AcquireAll implements [lease.Backend]. The order of keys is that of their bytes.
func (l leases) AcquireAll(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
	if err := lease.ValidateAll(claims); err != nil {
		return nil, err
	}
	return do(ctx, l.b, func(t *table, now time.Time) []lease.Answer { return t.acquireAll(claims, now) })
}

// Renew implements [lease.Backend]. An item that is not valid gets no answer but does not hinder
// the others.
func (l leases) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	answers := make([]lease.Answer, len(items))
	for i := range items {
		answers[i].Err = items[i].Validate()
	}
	_, err := do(ctx, l.b, func(t *table, now time.Time) struct{} {
		t.renew(items, answers, now)
		return struct{}{}
	})
	if err != nil {
		for i := range answers {
			answers[i] = lease.Answer{Err: err}
		}
	}
	return answers
}

// Release implements [lease.Backend].
func (l leases) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	if err := r.Validate(); err != nil {
		return lease.WasNothing, err
	}
	return do(ctx, l.b, func(t *table, now time.Time) lease.Released { return t.release(r, now) })
}

// Revoke implements [lease.Backend]. To ask again replaces reason and grace.
func (l leases) Revoke(ctx context.Context, r lease.Revocation) (bool, error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	return do(ctx, l.b, func(t *table, now time.Time) bool { return t.revoke(r, now) })
}

// Inspect implements [lease.Backend]. Holders are in the order of their tokens.
func (l leases) Inspect(ctx context.Context, key string) (lease.State, error) {
	if err := lease.ValidateKey(key); err != nil {
		return lease.State{}, err
	}
	return do(ctx, l.b, func(t *table, now time.Time) lease.State { return t.inspect(key, now) })
}

// Seats implements [lease.Backend]. The parts are in the order of the tokens.
func (l leases) Seats(ctx context.Context, key, cursor string) (part []lease.Party, next string, err error) {
	if err := lease.ValidateKey(key); err != nil {
		return nil, "", err
	}
	var after uint64
	if cursor != "" {
		if after, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", &lease.InvalidError{Field: "cursor", Problem: "must come from Seats"}
		}
	}
	part, err = do(ctx, l.b, func(t *table, now time.Time) []lease.Party { return t.seated(key, after, now) })
	if len(part) == pageSize {
		next = strconv.FormatUint(part[pageSize-1].Token, 10)
	}
	return part, next, err
}

// Capabilities implements [lease.Backend]: all there is, except that nothing is durable.
func (l leases) Capabilities() lease.Capabilities {
	return lease.Capabilities{
		Limits:   true,
		Priority: true,
		Delay:    true,
		MultiKey: true,
		Transfer: true,
		Window:   true,
		Prompt:   true,
		Announce: true,
		MinTTL:   lease.MinTTL,
		TTLStep:  time.Nanosecond,
		TryTrips: 1,
	}
}
