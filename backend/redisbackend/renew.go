package redisbackend

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

// A script that renews many claims blocks the server for their time, so a request is bounded.
const (
	chunkItems = 100
	chunkBytes = 64 << 10
)

// Renew implements [lease.Backend]. Items are sent in chunks: first those of holders, for they have
// the most to lose, then those that wait, also where the owner believed otherwise. A chunk that
// fails does not keep the next from being sent. In a cluster each bucket is renewed by itself and
// all at the same time, so that a node that hangs costs only the claims that it keeps.
func (l *leases) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	const verb = "renew"
	answers := make([]lease.Answer, len(items))
	refused := l.b.ready(ctx, verb)
	groups := map[*site][]int{}
	for i := range items {
		if refused != nil {
			answers[i].Err = refused
		} else if err := items[i].Validate(); err != nil {
			answers[i].Err = fail(ctx, verb, err)
		} else {
			s := l.b.site(items[i].Key)
			groups[s] = append(groups[s], i)
		}
	}
	var all sync.WaitGroup
	for s, group := range groups {
		if len(groups) == 1 {
			l.renewSite(ctx, s, items, group, answers)
		} else {
			all.Go(func() { l.renewSite(ctx, s, items, group, answers) })
		}
	}
	all.Wait()
	return answers
}

// renewSite renews the items of one site, which group lists.
func (l *leases) renewSite(ctx context.Context, s *site, items []lease.Renewal, group []int, answers []lease.Answer) {
	for _, whole := range [...]bool{false, true} {
		chunk := make([]int, 0, min(len(group), chunkItems))
		size := 0
		for _, i := range group {
			due := full(&items[i]) == whole || answers[i].Status == lease.Queued
			if !due || answers[i].Err != nil {
				continue
			}
			n := len(items[i].Meta) + 2*(len(items[i].Key)+maxPrefix)
			if len(chunk) == chunkItems || (size+n > chunkBytes && len(chunk) > 0) {
				l.renewChunk(ctx, s, items, chunk, answers, whole)
				chunk, size = chunk[:0], 0
			}
			chunk, size = append(chunk, i), size+n
		}
		if len(chunk) > 0 {
			l.renewChunk(ctx, s, items, chunk, answers, whole)
		}
	}
}

// full reports whether a renewal may change more than the life of a claim, so that it needs all
// keys of the lease.
func full(r *lease.Renewal) bool { return r.Waiting || r.Weight > 0 }

// renewChunk sends the items that chunk lists and puts their answers in place.
func (l *leases) renewChunk(ctx context.Context, s *site, items []lease.Renewal, chunk []int, answers []lease.Answer, whole bool) {
	const verb = "renew"
	b := l.b
	script, args := scriptHold, make([]any, 3, 4+9*len(chunk))
	for _, i := range chunk {
		k := b.names.keys(items[i].Key, "")
		args = append(args, &k.lease)
		if whole {
			args = append(args, &k.queue, &k.seats, k.counter)
		}
	}
	args[2] = len(args) - 3
	args = append(args, b.publish)
	if whole {
		script = scriptWait
	}
	for _, i := range chunk {
		r := &items[i]
		args = append(args, string(r.Attempt), millis(r.TTL))
		if r.MetaSeq == 0 {
			args = append(args, argNo, argNone)
		} else {
			args = append(args, strconv.FormatUint(r.MetaSeq, 10), r.Meta)
		}
		if whole {
			args = append(args, r.Weight)
		}
	}
	era := s.era.Load()
	v, sent, short, err := b.commit(ctx, script, args)
	if list, ok := v.([]any); err == nil && (!ok || len(list) != len(chunk)) {
		err = malformed(v)
	}
	if err != nil && len(chunk) > 1 && redis.HasErrorPrefix(err, "TRYAGAIN") {
		// Half of the keys have moved to another node and no node has all of them. Each claim by
		// itself is where its key is.
		for n := range chunk {
			l.renewChunk(ctx, s, items, chunk[n:n+1], answers, whole)
		}
		return
	}
	if err != nil {
		err = fail(ctx, verb, err)
		for _, i := range chunk {
			answers[i].Err = err
		}
		return
	}
	got := time.Now()
	for n, e := range v.([]any) {
		i := chunk[n]
		r, err := parseReply(e)
		if err != nil {
			answers[i].Err = fail(ctx, verb, err)
			continue
		}
		if n == 0 { // all items carry the same time
			s.clock.observe(sent, got, r.now)
		}
		if r.Status == lease.Granted && short != nil {
			answers[i].Err = fail(ctx, verb, short)
			continue
		}
		answers[i] = s.answered(items[i].Attempt, era, r.Answer)
	}
}
