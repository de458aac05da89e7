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

	"github.com/concord-go/concord/ratelimit"
)

// limits is the port of package ratelimit. etcd has no clock to decide by and no scripts: a decision is
// made here, by this process's clock, and written if nobody else has written meanwhile. That is two
// requests, one on a key without history, and one more for each writer who was faster. So limiters take
// allowances.
type limits struct {
	b      *Backend
	leases *limitLeases
}

var _ ratelimit.Backend = (*limits)(nil)

func newLimits(b *Backend) *limits { return &limits{b: b, leases: &limitLeases{b: b}} }

// Capabilities implements [ratelimit.Backend].
func (l *limits) Capabilities() ratelimit.Capabilities { return ratelimit.Capabilities{Block: true} }

// Apply implements [ratelimit.Backend]: ops on one key one after the other, keys at the same time.
func (l *limits) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	if len(ops) == 1 {
		out[0] = l.decide(ctx, &ops[0])
		return
	}
	lines := map[string][]int{}
	var keys []string
	for i := range ops {
		name := l.name(&ops[i])
		if lines[name] == nil {
			keys = append(keys, name)
		}
		lines[name] = append(lines[name], i)
	}
	var all sync.WaitGroup
	turn := make(chan struct{}, limitsAtOnce)
	for _, name := range keys {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			for _, i := range lines[name] {
				out[i] = l.decide(ctx, &ops[i])
			}
		})
	}
	all.Wait()
}

// limitsAtOnce is how many keys of one call are asked for at the same time.
const limitsAtOnce = 32

func (l *limits) name(op *ratelimit.Op) string { return l.b.names.limit(op.Policy.Shape(), op.Key) }

// decide executes one op: it compares that what it has decided on is still true. The first try takes the
// key to be without history.
func (l *limits) decide(ctx context.Context, op *ratelimit.Op) ratelimit.Outcome {
	const verb = "rate limit"
	d, err := l.tryDecide(ctx, verb, op)
	if err != nil {
		return ratelimit.Outcome{Err: err}
	}
	return ratelimit.Outcome{Decision: d}
}

func (l *limits) tryDecide(ctx context.Context, verb string, op *ratelimit.Op) (ratelimit.Decision, error) {
	name := l.name(op)
	state := make([]int64, op.Policy.Words())
	for mod := int64(0); ; {
		if err := l.b.ready(ctx, verb); err != nil {
			return ratelimit.Decision{}, err
		}
		before := slices.Clone(state)
		now := time.Now().UnixMicro()
		d := op.Policy.Decide(state, now, op)
		write := op.Kind != ratelimit.OpPeek && (d.Allowed || state[0] != before[0])
		if mod > 0 && !write {
			return d, nil
		}
		then, err := l.writes(ctx, name, state, now, op, write)
		if err != nil {
			return ratelimit.Decision{}, fail(ctx, verb, err)
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
			return ratelimit.Decision{}, fail(ctx, verb, err)
		case r.Succeeded:
			return d, nil
		default:
			if mod, err = readState(r.Responses[0].GetResponseRange(), state); err != nil {
				return ratelimit.Decision{}, fail(ctx, verb, err)
			}
		}
	}
}

// writes are the operations that keep a state, on a lease that ends when nothing in it counts any more.
func (l *limits) writes(ctx context.Context, name string, state []int64, now int64, op *ratelimit.Op, write bool) ([]clientv3.Op, error) {
	if !write {
		return nil, nil
	}
	rest := op.Policy.Rest(slices.Clone(state), now)
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

// limitLeases are the leases under which states are kept: a few for all of them, each for states that
// last for about as long. They are not renewed.
type limitLeases struct {
	b *Backend

	mu  sync.Mutex
	all map[time.Duration]limitLease
}

type limitLease struct {
	id    clientv3.LeaseID
	until time.Time // it serves for new states
}

// leastLife is the shortest life of a state on the server.
const leastLife = 16 * time.Second

// lasting returns a lease that lasts for longer than life, and not for much more than four times as long.
func (s *limitLeases) lasting(ctx context.Context, life time.Duration) (clientv3.LeaseID, error) {
	class := leastLife
	for class < life+leastLife/2 {
		class *= 2
	}
	s.mu.Lock()
	have := s.all[class]
	s.mu.Unlock()
	if have.id != clientv3.NoLease && time.Now().Before(have.until) {
		return have.id, nil
	}
	start := time.Now()
	r, err := s.b.client.Grant(ctx, int64(2*class/time.Second))
	if err != nil {
		return clientv3.NoLease, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[time.Duration]limitLease{}
	}
	s.all[class] = limitLease{r.ID, start.Add(class)}
	return r.ID, nil
}

// forget drops all leases, because the server does not have one of them any more.
func (s *limitLeases) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.all)
}
