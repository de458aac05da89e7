package redisbackend

import (
	"context"
	"strconv"
	"time"

	"github.com/concord-go/concord/lease"
)

// A script that renews many claims blocks the server for their time, so a request is bounded.
const (
	chunkItems = 100
	chunkBytes = 64 << 10
)

// Renew implements [lease.Backend]. Items are sent in chunks, one after the other: first those of
// holders, for they have the most to lose, then those that wait, also where the owner believed
// otherwise. A chunk that fails does not keep the next from being sent.
func (l *leases) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	const verb = "renew"
	answers := make([]lease.Answer, len(items))
	refused := l.b.ready(ctx, verb)
	for i := range items {
		if refused != nil {
			answers[i].Err = refused
		} else if err := validateRenewal(&items[i]); err != nil {
			answers[i].Err = fail(ctx, verb, err)
		}
	}
	if refused != nil {
		return answers
	}
	for _, waiting := range [...]bool{false, true} {
		chunk := make([]int, 0, min(len(items), chunkItems))
		size := 0
		for i := range items {
			due := items[i].Waiting == waiting || answers[i].Status == lease.Queued
			if !due || answers[i].Err != nil {
				continue
			}
			n := len(items[i].Meta) + 2*(len(items[i].Key)+maxPrefix)
			if len(chunk) == chunkItems || (size+n > chunkBytes && len(chunk) > 0) {
				l.renewChunk(ctx, verb, items, chunk, answers, waiting)
				chunk, size = chunk[:0], 0
			}
			chunk, size = append(chunk, i), size+n
		}
		if len(chunk) > 0 {
			l.renewChunk(ctx, verb, items, chunk, answers, waiting)
		}
	}
	return answers
}

func validateRenewal(r *lease.Renewal) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.Weight > 1 {
		return unsupported("weight %d", r.Weight)
	}
	return nil
}

// renewChunk sends the items that chunk lists and puts their answers in place.
func (l *leases) renewChunk(ctx context.Context, verb string, items []lease.Renewal, chunk []int, answers []lease.Answer, waiting bool) {
	b := l.b
	script, args := scriptHold, make([]any, 3, 4+7*len(chunk))
	for _, i := range chunk {
		key, queue, counter := b.names.lease(items[i].Key)
		args = append(args, key)
		if waiting {
			args = append(args, queue, counter)
		}
	}
	args[2] = len(args) - 3
	if waiting {
		script, args = scriptWait, append(args, argPublish)
	}
	for _, i := range chunk {
		r := &items[i]
		args = append(args, string(r.Attempt), millis(r.TTL))
		if r.MetaSeq == 0 {
			args = append(args, argNo, argNone)
		} else {
			args = append(args, strconv.FormatUint(r.MetaSeq, 10), r.Meta)
		}
	}
	era := b.hub.era.Load()
	v, sent, err := b.eval(ctx, script, args)
	if list, ok := v.([]any); err == nil && (!ok || len(list) != len(chunk)) {
		err = malformed(v)
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
			b.clock.observe(sent, got, r.now)
		}
		answers[i] = b.hub.answered(items[i].Attempt, era, r.Answer)
	}
}
