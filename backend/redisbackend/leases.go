package redisbackend

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

// leases is the port.
type leases struct{ b *Backend }

var _ lease.Backend = (*leases)(nil)

// Capabilities implements [lease.Backend]. A grant is not Durable: Redis answers before it has
// written to disk or to a replica.
func (l *leases) Capabilities() lease.Capabilities {
	return lease.Capabilities{
		Limits: true, Priority: true, Delay: true, MultiKey: true, Transfer: true, Window: true, Announce: true,
		Prompt: prompt(l.b.client), Confirm: l.b.opt.WaitReplicas > 0,
		MinTTL: lease.MinTTL, TTLStep: time.Millisecond, TryTrips: 1, ExpiryLate: time.Millisecond,
	}
}

// prompt reports whether the client keeps the deadlines of contexts. An unknown client may not.
func prompt(client Client) bool {
	switch c := client.(type) {
	case interface{ Options() *redis.Options }:
		return c.Options().ContextTimeoutEnabled
	case interface{ Options() *redis.ClusterOptions }:
		return c.Options().ContextTimeoutEnabled
	}
	return false
}

// millis rounds up: a life is never shorter than it was asked for.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// lives returns the TTL and the window of a claim in ms, boxed.
func lives(c *lease.Claim) (ttl, window any) {
	ttl = millis(c.TTL)
	if c.Window == 0 || c.Window == c.TTL {
		return ttl, ttl
	}
	return ttl, millis(c.Window)
}

// Acquire implements [lease.Backend]. A ctx without a deadline counts as one of a minute.
func (l *leases) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	const verb = "acquire"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return lease.Answer{}, err
	}
	if err := c.Validate(); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	s := b.site(c.Key)
	if err := b.contact(ctx, s); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	ttl, window := lives(&c)
	att := string(c.Attempt)
	k := b.names.keys(c.Key, att)
	era := s.era.Load()
	for again := false; ; again = true {
		v, sent, short, err := b.commit(ctx, scriptAcquire, []any{
			nil, nil, 5, &k.lease, &k.queue, &k.seats, k.counter, &k.tombstone,
			att, ttl, window, flag(c.Queue), s.clock.notAfter(ctx),
			b.proc, b.maxq, b.publish, makeBlob(c.Owner, c.Meta),
			millis(c.Delay), c.Priority, c.Weight, c.Limit, c.LimitEpoch, flag(c.Announce),
		})
		if err != nil {
			return lease.Answer{}, fail(ctx, verb, err)
		}
		r, err := parseReply(v)
		if err != nil {
			return lease.Answer{}, fail(ctx, verb, err)
		}
		if !r.stale {
			s.clock.observe(sent, time.Now(), r.now)
			if r.Status == lease.Granted && short != nil {
				return lease.Answer{}, fail(ctx, verb, short)
			}
			return s.answered(c.Attempt, era, r.Answer), nil
		}
		// Either the request was under way past its deadline, or the server's clock has stepped.
		// Its reply tells the new time; asking once more is enough to know which.
		s.clock.reset(sent, r.now)
		if err := ctx.Err(); err != nil || again {
			return lease.Answer{}, fail(ctx, verb, errStale)
		}
	}
}

// Release implements [lease.Backend].
func (l *leases) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	const verb = "release"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return 0, err
	}
	if err := r.Validate(); err != nil {
		return 0, fail(ctx, verb, err)
	}
	s := b.site(r.Key)
	var until int64
	if r.Uncertain {
		until = s.clock.tombstoneUntil()
	}
	att := string(r.Attempt)
	k := b.names.keys(r.Key, att)
	v, sent, err := b.eval(ctx, scriptRelease, []any{
		nil, nil, 5, &k.lease, &k.queue, &k.seats, k.counter, &k.tombstone,
		att, flag(r.Unclean), until, b.publish, string(r.To),
	})
	if err != nil {
		return 0, fail(ctx, verb, err)
	}
	was, now, problem, err := parseReleased(v)
	if err != nil {
		return 0, fail(ctx, verb, err)
	}
	s.clock.observe(sent, time.Now(), now)
	if problem != "" {
		b.opt.Logger.WarnContext(ctx, "redisbackend: tombstone not written, the release must be repeated", "error", problem)
		return was, fail(ctx, verb, serverError(problem))
	}
	return was, nil
}

// Revoke implements [lease.Backend].
func (l *leases) Revoke(ctx context.Context, r lease.Revocation) (bool, error) {
	const verb = "revoke"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return false, err
	}
	if err := r.Validate(); err != nil {
		return false, fail(ctx, verb, err)
	}
	k := b.names.keys(r.Key, "")
	v, sent, err := b.eval(ctx, scriptRevoke, []any{
		nil, nil, 4, &k.lease, &k.queue, &k.seats, k.counter,
		strconv.FormatUint(r.Token, 10), flag(r.Force), millis(r.Grace), r.Reason, b.publish,
	})
	if err != nil {
		return false, fail(ctx, verb, err)
	}
	found, now, err := parseFound(v)
	if err != nil {
		return false, fail(ctx, verb, err)
	}
	b.site(r.Key).clock.observe(sent, time.Now(), now)
	return found, nil
}

// Inspect implements [lease.Backend].
func (l *leases) Inspect(ctx context.Context, key string) (lease.State, error) {
	const verb = "inspect"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return lease.State{}, err
	}
	if err := lease.ValidateKey(key); err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	k := b.names.keys(key, "")
	v, sent, err := b.eval(ctx, scriptInspect, []any{nil, nil, 3, &k.lease, &k.queue, &k.seats})
	if err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	state, now, err := parseState(v)
	if err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	b.site(key).clock.observe(sent, time.Now(), now)
	return state, nil
}

// Seats implements [lease.Backend], a request for each part. The parts are in no order, and those of
// a key with up to some hundred claims are one.
func (l *leases) Seats(ctx context.Context, key, cursor string) (part []lease.Party, next string, err error) {
	const verb = "seats"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return nil, "", err
	}
	if err := lease.ValidateKey(key); err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	if _, err := strconv.ParseUint(cmp.Or(cursor, "0"), 10, 64); err != nil {
		return nil, "", fail(ctx, verb, &InvalidError{Field: "cursor", Problem: "must come from Seats"})
	}
	k := b.names.keys(key, "")
	v, sent, err := b.eval(ctx, scriptSeats, []any{nil, nil, 1, &k.lease, cmp.Or(cursor, "0")})
	if err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	part, next, now, err := parseSeats(v)
	if err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	b.site(key).clock.observe(sent, time.Now(), now)
	return part, next, nil
}

// Watch implements [lease.Backend]. Notify must not call stop.
func (l *leases) Watch(key string, a lease.Attempt, notify func(lease.Event)) (stop func()) {
	return l.b.site(key).watch(a, notify)
}
