package redisbackend

import (
	"context"

	"github.com/concord-go/concord/lease"
)

// Observe implements [lease.Backend], with a connection of its own. Changes are numbered on the
// server, so one that was lost is noticed with the next. A key that nobody has claimed for an hour
// is numbered anew, which observers take for a gap.
func (l *leases) Observe(ctx context.Context, key string, notify func(lease.Change)) error {
	const verb = "observe"
	b := l.b
	if err := lease.ValidateKey(key); err != nil {
		return fail(ctx, verb, err)
	}
	if err := b.begin(ctx, verb); err != nil {
		return err
	}
	defer b.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	o := &observer{notify: notify}
	nothing := func() {}
	sub := &subscription{
		hub: b.hub, channel: b.names.observed(key), effect: "an observer will miss changes",
		begins: o.gap, alive: nothing, breaks: nothing, receive: o.receive, ticks: nothing,
	}
	sub.run(ctx)
	if b.life.Err() != nil {
		return fail(context.Background(), verb, lease.ErrClosed)
	}
	return fail(ctx, verb, ctx.Err())
}

// observer is one call of Observe.
type observer struct {
	notify func(lease.Change)
	last   uint64 // number of the change heard last, 0 after a gap
}

// gap says that changes may have been missed.
func (o *observer) gap() {
	o.last = 0
	o.notify(lease.Change{Kind: lease.ChangeGap})
}

// receive handles one message. One that makes no sense is dropped, as anybody may publish.
func (o *observer) receive(payload string) {
	c, number, ok := parseChange(payload)
	if !ok {
		return
	}
	if o.last != 0 && number != o.last+1 {
		o.gap()
	}
	o.last = number
	o.notify(c)
}
