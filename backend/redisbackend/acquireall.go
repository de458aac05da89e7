package redisbackend

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

// AcquireAll implements [lease.Backend]. The order of keys is that of their buckets, and within a
// bucket that of their bytes. A single server does it in one step and one request; in a cluster
// there is one for each bucket, one after the other, and without Queue a bucket that refuses
// costs one more for each claim that others have seated.
func (l *leases) AcquireAll(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
	const verb = "acquire all"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return nil, err
	}
	if err := lease.ValidateAll(claims); err != nil {
		return nil, fail(ctx, verb, err)
	}
	order := make([]int, len(claims))
	for i := range claims {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		x, y := claims[i].Key, claims[j].Key
		return cmp.Or(cmp.Compare(bucket(x), bucket(y)), cmp.Compare(x, y))
	})
	answers := make([]lease.Answer, len(claims))
	for start := 0; start < len(order); {
		s, end := b.site(claims[order[start]].Key), start+1
		for end < len(order) && b.site(claims[order[end]].Key) == s {
			end++
		}
		all, err := l.acquireSite(ctx, s, claims, order[start:end], answers)
		if err == nil && !all && !claims[0].Queue {
			err = l.giveBack(ctx, claims, order[:start], answers)
		}
		if err != nil {
			return nil, fail(ctx, verb, err)
		}
		if !all {
			break
		}
		start = end
	}
	return answers, nil
}

// acquireSite asks for the claims of one site, which group lists in their order, and reports
// whether all of them were granted.
func (l *leases) acquireSite(ctx context.Context, s *site, claims []lease.Claim, group []int, answers []lease.Answer) (all bool, err error) {
	b := l.b
	if err := b.contact(ctx, s); err != nil {
		return false, err
	}
	args := make([]any, 3, 8+15*len(group))
	for _, i := range group {
		k := b.names.keys(claims[i].Key, string(claims[i].Attempt))
		args = append(args, &k.lease, &k.queue, &k.seats, k.counter, &k.tombstone)
	}
	args[2] = len(args) - 3
	deadline := len(args) + 1
	args = append(args, flag(claims[0].Queue), nil, b.proc, b.maxq, b.publish)
	for _, i := range group {
		c := &claims[i]
		ttl, window := lives(c)
		args = append(args, string(c.Attempt), ttl, window, makeBlob(c.Owner, c.Meta),
			millis(c.Delay), c.Priority, c.Weight, c.Limit, c.LimitEpoch, flag(c.Announce))
	}
	era := s.era.Load()
	for again := false; ; again = true {
		args[deadline] = s.clock.notAfter(ctx)
		v, sent, short, err := b.commit(ctx, scriptAcquireAll, args)
		if err != nil {
			return false, err
		}
		replies, err := parseReplies(v, len(group))
		if err != nil {
			return false, err
		}
		if first := &replies[0]; first.stale {
			s.clock.reset(sent, first.now)
			if err := ctx.Err(); err != nil || again {
				return false, errStale
			}
			continue
		}
		s.clock.observe(sent, time.Now(), replies[0].now)
		for n, r := range replies {
			if r.Status == lease.Granted && short != nil {
				return false, short
			}
			answers[group[n]] = s.answered(claims[group[n]].Attempt, era, r.Answer)
		}
		return len(replies) == len(group) && replies[len(replies)-1].Status == lease.Granted, nil
	}
}

// giveBack ends the seats that a refused AcquireAll has got in other buckets.
func (l *leases) giveBack(ctx context.Context, claims []lease.Claim, seated []int, answers []lease.Answer) error {
	for _, i := range seated {
		if _, err := l.Release(ctx, lease.Release{Key: claims[i].Key, Attempt: claims[i].Attempt}); err != nil {
			return err
		}
		answers[i] = lease.Answer{}
	}
	return nil
}
