package redisbackend

import (
	"context"
	"sync/atomic"
	"time"
)

// site is what this process knows about the place where the claims of a key are kept: its clock,
// and whether events come from there. There is one for a single server, and in a cluster one for
// each bucket, because a bucket can move from node to node without the others. The node itself
// would be the wrong unit: which node has answered is not known when it answers.
type site struct {
	hub     *hub
	channel string // of the events for this backend object
	probe   []any  // the command that reads the clock
	clock   clock

	era     atomic.Uint64        // counts subscriptions confirmed and lost
	line    atomic.Pointer[line] // the open one, or nil; changed under hub.mu
	watched int                  // watches; guarded by hub.mu
}

// sites makes the sites of a backend object.
func (b *Backend) makeSites(proc string) {
	if b.cluster == nil {
		b.sites = []site{{hub: b.hub, channel: b.names.channel(proc), probe: []any{"time"}}}
		return
	}
	b.sites = make([]site, buckets)
	for i := range b.sites {
		// A script, because that is routed by its key.
		b.sites[i] = site{hub: b.hub, channel: b.names.shardChannel(i, proc),
			probe: []any{argEval, "return redis.call('TIME')", 1, b.names.counters[i]}}
	}
}

// site returns the place of a key.
func (b *Backend) site(key string) *site {
	if b.cluster == nil {
		return &b.sites[0]
	}
	return &b.sites[bucket(key)]
}

// contact makes sure that there is a reference for the clock of a site, if need be by asking.
func (b *Backend) contact(ctx context.Context, s *site) error {
	if s.clock.known() {
		return nil
	}
	return b.readTime(ctx, s)
}

// readTime asks a site for the time and keeps it as a reference.
func (b *Backend) readTime(ctx context.Context, s *site) error {
	sent := time.Now()
	reply, err := b.do(ctx, s.probe...)
	if err != nil {
		return err
	}
	now, err := parseTime(reply)
	if err == nil {
		s.clock.observe(sent, time.Now(), now)
	}
	return err
}
