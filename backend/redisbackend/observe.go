package redisbackend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

const (
	lookMin  = time.Second     // between two looks of an observer
	lookMax  = 5 * time.Second // and a fifth more, which is lease.MaxNotice
	lookTime = time.Second     // that one may take
)

// Observe implements [lease.Backend], with a connection of its own. Changes are numbered on the
// server, so one that was lost is noticed with the next. An observer also looks at the key every few
// seconds: Redis tells nobody that time has passed, and the last change may be the one that was lost.
// A key that nobody has claimed for an hour is numbered anew, which observers take for a gap.
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
	o := &observer{b: b, key: key, notify: notify}
	nothing := func() {}
	sub := &subscription{
		hub: b.hub, channel: b.names.observed(key), effect: "an observer will miss changes",
		begins: func() { o.begin(ctx) }, alive: nothing, breaks: func() { o.end(ctx) }, receive: o.receive, ticks: nothing,
	}
	var looks sync.WaitGroup
	looks.Go(func() { o.keepLooking(ctx) })
	sub.run(ctx)
	looks.Wait()
	if b.life.Err() != nil {
		return fail(context.Background(), verb, lease.ErrClosed)
	}
	return fail(ctx, verb, ctx.Err())
}

// observer is one call of Observe.
type observer struct {
	b   *Backend
	key string

	mu     sync.Mutex // held while notify runs
	notify func(lease.Change)
	begun  time.Time // when it began to listen; zero while it does not
	base   uint64    // number of the last change before that
	known  bool      // the number of the change heard last
	last   uint64    // is this
	heard  uint64    // the same at the look before
	told   uint64    // number of the last change, as the look before said
}

// begin says that changes are told from now on. What was told of before the subscription is known
// by its number, so the first change after it can be missed no more than any other.
func (o *observer) begin(ctx context.Context) {
	number, _, err := o.look(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun, o.base = time.Now(), number
	o.gap(number, err == nil)
}

// end says that changes are not told any more. There is another gap when they are again.
func (o *observer) end(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun.IsZero() || ctx.Err() != nil {
		return
	}
	o.begun = time.Time{}
	o.notify(lease.Change{Kind: lease.ChangeGap})
}

// gap says that changes up to a number may have been missed. The caller holds o.mu.
func (o *observer) gap(number uint64, known bool) {
	o.known, o.last, o.heard, o.told = known, number, number, number
	o.notify(lease.Change{Kind: lease.ChangeGap})
}

// receive handles one message. One that makes no sense is dropped, as anybody may publish.
func (o *observer) receive(payload string) {
	c, number, ok := parseChange(payload)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !ok, number <= o.base && time.Since(o.begun) < lookTime: // it was under way when this began
		return
	case o.known && number != o.last+1:
		o.gap(number, true)
	}
	o.known, o.last = true, number
	o.notify(c)
}

// keepLooking looks at the key until ctx ends: when the next seat may have ended, but neither too
// often nor too seldom. The failures of looks are those of the subscription.
func (o *observer) keepLooking(ctx context.Context) {
	next := lookMax
	for {
		next = min(max(next, lookMin), lookMax)
		select {
		case <-ctx.Done():
			return
		case <-time.After(next*4/5 + rand.N(next*2/5)):
		}
		number, ends, err := o.look(ctx)
		if next = ends; ends < 0 || err != nil {
			next = lookMax
		}
		if err == nil {
			o.looked(number)
		}
	}
}

// looked compares what was told on the server with what was heard. A message may take until the next
// look, and so may the answer to a look.
func (o *observer) looked(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch lost := o.last < o.told || number < max(o.told, o.heard); {
	case o.begun.IsZero():
	case !o.known, lost:
		o.gap(number, true)
	default:
		o.told, o.heard = number, o.last
	}
}

// look brings the key up to date on the server.
func (o *observer) look(ctx context.Context) (number uint64, ends time.Duration, err error) {
	const verb = "observe"
	b := o.b
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	type answer struct {
		number uint64
		ends   time.Duration
	}
	a, err := await(ctx, b, verb, func() (answer, error) {
		k := b.names.keys(o.key, "")
		v, sent, err := b.eval(ctx, scriptLook, []any{nil, nil, 4, &k.lease, &k.queue, &k.seats, k.counter, b.publish})
		if err != nil {
			return answer{}, fail(ctx, verb, err)
		}
		number, ends, now, err := parseLook(v)
		if err != nil {
			return answer{}, fail(ctx, verb, err)
		}
		b.site(o.key).clock.observe(sent, time.Now(), now)
		return answer{number, ends}, nil
	})
	return a.number, a.ends, err
}
