package etcdbackend

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// limits is the port of package ratelimit. etcd has no clock to decide by and no scripts: decisions are
// made here, by this process's clock, and written if nobody else has written meanwhile. All ops of this
// process on a key that come while it is written make one such step. That is two requests, one on a key
// without history, and one more for each other process that was faster. So limiters take allowances.
type limits struct {
	b      *Backend
	leases *limitLeases

	mu    sync.Mutex
	lines map[string][]*limitCall // who waits for a key; present = somebody writes it
}

var _ ratelimit.Backend = (*limits)(nil)

func newLimits(b *Backend) *limits {
	return &limits{b: b, leases: &limitLeases{b: b}, lines: map[string][]*limitCall{}}
}

const (
	verbLimit = "rate limit"

	// limitBatch is how many ops are decided in one step.
	limitBatch = 1024
)

// limitCall is an op that waits to be decided.
type limitCall struct {
	ctx  context.Context
	op   *ratelimit.Op // a copy: the caller may leave
	done chan struct{} // closed when out is there
	out  ratelimit.Outcome
}

// Capabilities implements [ratelimit.Backend].
func (l *limits) Capabilities() ratelimit.Capabilities { return ratelimit.Capabilities{Block: true} }

// Apply implements [ratelimit.Backend].
func (l *limits) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	if err := l.b.ready(ctx, verbLimit); err != nil {
		for i := range out {
			out[i] = ratelimit.Outcome{Err: err}
		}
		return
	}
	calls := make([]*limitCall, len(ops))
	for i := range ops {
		op := ops[i]
		calls[i] = &limitCall{ctx: ctx, op: &op, done: make(chan struct{})}
		l.ask(calls[i])
	}
	for i, c := range calls {
		select {
		case <-c.done:
			out[i] = c.out
		case <-ctx.Done():
			out[i] = ratelimit.Outcome{Err: fail(ctx, verbLimit, ctx.Err())}
		}
	}
}

// ask puts a call into the line of its key, and has somebody write if nobody does.
func (l *limits) ask(c *limitCall) {
	name := l.b.names.limit(c.op.Policy.Shape(), c.op.Key)
	l.mu.Lock()
	line, busy := l.lines[name]
	l.lines[name] = append(line, c)
	l.mu.Unlock()
	if busy || l.b.work.start(func(ctx context.Context) { l.write(ctx, name) }) {
		return
	}
	for _, c := range l.take(name, true) { // closed meanwhile
		c.end(ratelimit.Decision{}, &opError{verb: verbLimit, err: lease.ErrClosed})
	}
}

// take takes who waits, and leaves the line if nobody does or it is over.
func (l *limits) take(name string, over bool) []*limitCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lines[name]
	n := min(len(line), limitBatch)
	if l.lines[name] = line[n:]; over || n == 0 {
		delete(l.lines, name)
		return line
	}
	return line[:n]
}

func (c *limitCall) end(d ratelimit.Decision, err error) {
	c.out = ratelimit.Outcome{Decision: d, Err: err}
	close(c.done)
}

// write decides for those who wait, until nobody does.
func (l *limits) write(life context.Context, name string) {
	for calls := l.take(name, false); len(calls) > 0; calls = l.take(name, false) {
		ctx, cancel := context.WithTimeout(life, limitTime)
		decisions, err := l.decide(ctx, name, calls)
		switch {
		case err != nil && life.Err() != nil:
			err = &opError{verb: verbLimit, err: lease.ErrClosed}
		case err != nil:
			err = fail(ctx, verbLimit, err)
		}
		cancel()
		for i, c := range calls {
			if err != nil {
				c.end(ratelimit.Decision{}, err)
			} else {
				c.end(decisions[i], nil)
			}
		}
	}
}

// limitTime bounds one step. Who waits may leave earlier.
const limitTime = 2 * time.Second

// decide executes ops of one key in their order: it compares that what it has decided on is still true.
// The first try takes the key to be without history.
func (l *limits) decide(ctx context.Context, name string, calls []*limitCall) ([]ratelimit.Decision, error) {
	last := calls[len(calls)-1].op
	state := make([]int64, last.Policy.Words())
	decisions := make([]ratelimit.Decision, len(calls))
	for mod := int64(0); ; {
		before := slices.Clone(state)
		now := time.Now().UnixMicro()
		write := false
		for i, c := range calls {
			version := state[0]
			d := c.op.Policy.Decide(state, now, c.op)
			write = write || c.op.Kind != ratelimit.OpPeek && (d.Allowed || state[0] != version)
			decisions[i] = d
		}
		if mod > 0 && !write {
			return decisions, nil
		}
		then, err := l.writes(ctx, name, state, now, last.Policy, write)
		if err != nil {
			return nil, err
		}
		r, err := l.b.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(name), "=", mod)).
			Then(then...).
			Else(clientv3.OpGet(name)).
			Commit()
		switch {
		case isLeaseGone(err):
			l.leases.forget()
			copy(state, before)
		case err != nil:
			return nil, err
		case r.Succeeded:
			return decisions, nil
		default:
			if mod, err = readState(r.Responses[0].GetResponseRange(), state); err != nil {
				return nil, err
			}
		}
	}
}

// writes are the operations that keep a state, on a lease that ends when nothing in it counts any more.
func (l *limits) writes(ctx context.Context, name string, state []int64, now int64, p *ratelimit.Policy, write bool) ([]clientv3.Op, error) {
	if !write {
		return nil, nil
	}
	rest := p.Rest(slices.Clone(state), now)
	if rest == 0 {
		return []clientv3.Op{clientv3.OpDelete(name)}, nil
	}
	id, err := l.leases.lasting(ctx, rest)
	if err != nil {
		return nil, err
	}
	return []clientv3.Op{clientv3.OpPut(name, stateText(state), clientv3.WithLease(id))}, nil
}

// stateText writes the words as decimal numbers with spaces between.
func stateText(state []int64) string {
	var text []byte
	for i, w := range state {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, w, 10)
	}
	return string(text)
}

// readState reads what stateText wrote, and when. A key that is not there has no history.
func readState(r *etcdserverpb.RangeResponse, state []int64) (mod int64, err error) {
	clear(state)
	if len(r.Kvs) == 0 {
		return 0, nil
	}
	kv := r.Kvs[0]
	words := strings.Split(string(kv.Value), " ")
	if len(words) != len(state) {
		return 0, malformed(kv.Value)
	}
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil || n < 0 || n > 1<<53 {
			return 0, malformed(kv.Value)
		}
		state[i] = n
	}
	return kv.ModRevision, nil
}
