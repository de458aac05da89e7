package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

const (
	// maxFlights is how many requests that calls may share are under way to a node at the same time. With
	// fewer, ten callers are slower than each by itself; with more, a busy machine shares less.
	maxFlights = 4

	// maxQueued is how many ops may wait for a node.
	maxQueued = 4096
)

// errCrowded is an op for which there was no room in the queue of its node.
var errCrowded = fmt.Errorf("not executed: %d calls wait for the server already (Options.CoalesceLimits)", maxQueued)

// errLeft is an op whose caller left before it was sent.
var errLeft = errors.New("not executed: it still waited for the requests ahead of it")

// lanes let limit calls of the same time share requests. A call that finds its lane free goes at once, alone
// and on its own goroutine. Those that come while maxFlights requests are under way queue, and leave
// together with the next. There is no window of time: how many share a request is how many came during
// the one before.
type lanes struct {
	l    *limits
	mu   sync.Mutex
	only *lane               // to a single server
	busy map[pipeliner]*lane // to the nodes of a cluster; present = something is under way
}

// lane is the way to one node.
type lane struct {
	node    pipeliner
	flights int          // requests under way
	queue   []*limitCall // who leaves with the next
	queued  int          // their ops
}

// limitCall is a call that waits to be sent, or for its answers. All that it has is its own, because the
// caller may leave.
type limitCall struct {
	ctx  context.Context
	ops  []limitOp
	done chan struct{} // closed when the answers are there
}

type limitOp struct {
	question *question
	op       ratelimit.Op
	out      ratelimit.Outcome
}

func newLanes(l *limits) *lanes {
	s := &lanes{l: l}
	if l.b.cluster == nil {
		s.only = &lane{node: l.b.client.(pipeliner)} // New has made sure of it
	} else {
		s.busy = map[pipeliner]*lane{}
	}
	return s
}

func newLimitCall(ctx context.Context, list []asked) *limitCall {
	c := &limitCall{ctx: ctx, ops: make([]limitOp, len(list)), done: make(chan struct{})}
	for i, a := range list {
		o := &c.ops[i]
		o.question, o.op = a.question, *a.op
		a.op = &o.op
	}
	return c
}

// end answers what has no answer of its own.
func (c *limitCall) end(err error) {
	for i := range c.ops {
		c.ops[i].out.Err = err
	}
	close(c.done)
}

// ask asks one node, and returns when it has answered or ctx has ended. One call's questions stay
// together, so that those on one key keep their order.
func (s *lanes) ask(ctx context.Context, node pipeliner, list []asked) {
	way, c, err := s.enter(ctx, node, list)
	if err == nil && c == nil {
		defer s.land(way)
		if len(list) == 1 {
			*list[0].out = s.l.settle(ctx, list[0].question)
		} else {
			s.l.pipelines(ctx, way.node, list)
		}
		return
	}
	if err == nil {
		err = s.wait(way, c)
	}
	for i, a := range list {
		if err != nil {
			*a.out = ratelimit.Outcome{Err: err}
		} else {
			*a.out = c.ops[i].out
		}
	}
}

// enter takes a free lane, or a place in its queue, which is the call that it returns.
func (s *lanes) enter(ctx context.Context, node pipeliner, list []asked) (*lane, *limitCall, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	way := s.only
	if way == nil {
		if way = s.busy[node]; way == nil {
			way = &lane{node: node}
			s.busy[node] = way
		}
	}
	switch {
	case way.flights < maxFlights && len(way.queue) == 0:
		way.flights++
		return way, nil, nil
	case way.queued > 0 && way.queued+len(list) > maxQueued:
		return nil, nil, fail(ctx, verbLimit, errCrowded)
	}
	c := newLimitCall(ctx, list)
	way.queue = append(way.queue, c)
	way.queued += len(c.ops)
	return way, c, nil
}

// wait waits for the answers to a call. Who leaves before it was sent takes it out of the queue.
func (s *lanes) wait(way *lane, c *limitCall) error {
	select {
	case <-c.done:
		return nil
	case <-c.ctx.Done():
	}
	s.mu.Lock()
	i := slices.Index(way.queue, c)
	if i >= 0 {
		way.queue = slices.Delete(way.queue, i, i+1)
		way.queued -= len(c.ops)
	}
	s.mu.Unlock()
	if i >= 0 {
		return fail(c.ctx, verbLimit, errLeft)
	}
	select {
	case <-c.done: // in the same instant
		return nil
	default:
		return fail(c.ctx, verbLimit, c.ctx.Err())
	}
}

// land is the end of a call that went alone. If others wait, a goroutine goes on in its place.
func (s *lanes) land(way *lane) {
	s.mu.Lock()
	free := len(way.queue) == 0
	if free {
		s.free(way)
	}
	s.mu.Unlock()
	switch {
	case free:
	case s.l.b.begin(context.Background(), verbLimit) != nil: // closed: nothing is carried any more
		s.carry(way)
	default:
		go func() {
			defer s.l.b.calls.Done()
			s.carry(way)
		}()
	}
}

// free gives up a place among the requests under way. The caller holds the lock.
func (s *lanes) free(way *lane) {
	if way.flights--; way.flights == 0 && way != s.only {
		delete(s.busy, way.node)
	}
}

// carry sends those who wait, until nobody does. It is nobody's call, so no caller's end is theirs.
func (s *lanes) carry(way *lane) {
	var f flight
	for s.take(way, &f) {
		ctx, cancel := context.WithDeadline(context.Background(), f.until)
		s.l.pipelines(ctx, way.node, f.list)
		cancel()
		for _, c := range f.calls {
			close(c.done)
		}
		runtime.Gosched() // who asks again at once shares the next request, instead of going alone
	}
}

// flight is one shared request.
type flight struct {
	calls []*limitCall
	list  []asked
	until time.Time // the latest of their deadlines
}

// take fills a flight from the queue, and gives up its place if nobody waits. Who has left is not sent,
// noticed or not, and after Close nobody is.
func (s *lanes) take(way *lane, f *flight) bool {
	clear(f.calls)
	clear(f.list)
	*f = flight{calls: f.calls[:0], list: f.list[:0]}
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := 0
	for _, c := range way.queue {
		if len(f.list) > 0 && len(f.list)+len(c.ops) > maxPipeline {
			break
		}
		taken++
		way.queued -= len(c.ops)
		switch {
		case s.l.b.closed.Load():
			c.end(&opError{verb: verbLimit, err: lease.ErrClosed})
		case c.ctx.Err() != nil:
			c.end(fail(c.ctx, verbLimit, errLeft))
		default:
			f.add(c)
		}
	}
	way.queue = slices.Delete(way.queue, 0, taken)
	if len(f.calls) == 0 {
		s.free(way)
	}
	return len(f.calls) > 0
}

func (f *flight) add(c *limitCall) {
	f.calls = append(f.calls, c)
	for i := range c.ops {
		f.list = append(f.list, asked{question: c.ops[i].question, out: &c.ops[i].out, by: c})
	}
	until, ok := c.ctx.Deadline()
	if !ok {
		until = time.Now().Add(openEnd)
	}
	if until.After(f.until) {
		f.until = until
	}
}
