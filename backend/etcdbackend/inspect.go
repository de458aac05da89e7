package etcdbackend

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

const (
	listed   = 100  // claims of each kind that Inspect shows
	most     = 1000 // keys that it reads of a line that several can hold
	lookups  = 8    // requests for the life of leases at the same time
	maxLives = 64   // leases that are asked about; of others only the TTL is told
)

// Inspect implements [lease.Backend]. It takes a request for the line, and one for each lease of
// another process. A claim that is over and was not cleared away yet is listed with no life left:
// it still is in the way.
func (l *leases) Inspect(ctx context.Context, key string) (lease.State, error) {
	const verb = "inspect"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return lease.State{}, err
	}
	if err := lease.ValidateKey(key); err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	line := b.names.line(key)
	claims, words, top, err := b.list(ctx, line, 1+listed)
	if err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	if first := groups(claims.Kvs); claims.More && (len(first) == 0 || first[0].limit != 1 || len(top) > 0) {
		if claims, words, top, err = b.list(ctx, line, most); err != nil {
			return lease.State{}, fail(ctx, verb, err)
		}
	}
	parties := groups(claims.Kvs)
	if len(parties) == 0 {
		return lease.State{}, nil
	}
	a := judged(parties, top)
	asked := map[uint64]bool{}
	for _, kv := range words {
		if w, err := parseWord(kv.Value); err == nil && !w.forced {
			asked[w.token] = true
		}
	}
	left := b.lifetimes(ctx, claims.Kvs)
	s := lease.State{Limit: a.limit, Waiting: int(claims.Count) - len(claims.Kvs)}
	for i := range parties {
		g := &parties[i]
		a.sum += g.weight
		seated := a.seats(g.rev, a.sum)
		if !seated {
			s.Waiting++
		}
		if g.first == nil {
			continue // only its lock-delay is left
		}
		p, err := g.party(left)
		if err != nil {
			return lease.State{}, fail(ctx, verb, err)
		}
		switch {
		case seated && len(s.Holders) < listed:
			p.Asked = asked[p.Token]
			s.Holders = append(s.Holders, p)
		case !seated && len(s.Waiters) < listed:
			p.Token = 0
			s.Waiters = append(s.Waiters, p)
		}
	}
	return s, nil
}

// Seats implements [lease.Backend].
func (l *leases) Seats(ctx context.Context, key, _ string) (part []lease.Party, next string, err error) {
	s, err := l.Inspect(ctx, key)
	return s.Holders, "", err
}

// judged is by what to tell the seated claims of a line, before any of them is counted.
func judged(parties []group, top []*mvccpb.KeyValue) ahead {
	a := ahead{limit: parties[0].limit, epoch: parties[0].epoch}
	if len(top) > 0 {
		if m, ok := parseMember(string(top[0].Key), top[0].CreateRevision); ok {
			a.limit, a.epoch = m.limit, m.epoch
		}
	}
	for i := range parties {
		a.see(&parties[i].member)
	}
	return a
}

// list reads the beginning of a line with its values, the words to holders, and the top.
func (b *Backend) list(ctx context.Context, line string, limit int64) (claims *rangeResponse, words, top []*mvccpb.KeyValue, err error) {
	r, err := b.client.Txn(ctx).Then(
		readFirst(line, limit),
		clientv3.OpGet(b.names.wordLine(line), clientv3.WithPrefix(), clientv3.WithLimit(limit)),
		readTop(line),
	).Commit()
	if err != nil {
		return nil, nil, nil, err
	}
	words, top = r.Responses[1].GetResponseRange().Kvs, r.Responses[2].GetResponseRange().Kvs
	return r.Responses[0].GetResponseRange(), words, top, nil
}

// party is the first claim of a range as others see it, as if it were seated. It also asks how long
// it lives.
func (b *Backend) party(ctx context.Context, kvs []*mvccpb.KeyValue) (lease.Party, error) {
	all := groups(kvs)
	if len(all) == 0 {
		return lease.Party{}, nil
	}
	g := &all[0]
	if g.first == nil {
		return g.party(nil)
	}
	return g.party(b.lifetimes(ctx, []*mvccpb.KeyValue{g.first}))
}

// group is all keys of one claim that were read, as one member of the whole weight.
type group struct {
	member
	first *mvccpb.KeyValue // nil if the claim has ended and only shades are left
	any   *mvccpb.KeyValue
}

// groups reads claims from a range in the order of the line. The keys of one have one revision.
func groups(kvs []*mvccpb.KeyValue) []group {
	var all []group
	for start := 0; start < len(kvs); {
		rev, end := kvs[start].CreateRevision, start
		var a ahead
		var g group
		for ; end < len(kvs) && kvs[end].CreateRevision == rev; end++ {
			m, ok := parseMember(string(kvs[end].Key), rev)
			if !ok {
				continue
			}
			if g.any == nil || !m.shade && !m.rest {
				g.member, g.any = m, kvs[end]
			}
			if !m.shade && !m.rest {
				g.first = kvs[end]
			}
			a.add(&m, &m)
		}
		if g.weight = a.sum; g.any != nil {
			all = append(all, g)
		}
		start = end
	}
	return all
}

// party is the claim as others see it, as if it were seated, given how long leases live on.
func (g *group) party(left map[int64]time.Duration) (lease.Party, error) {
	value, err := parseBlob(g.any.Value)
	if err != nil {
		return lease.Party{}, err
	}
	p := lease.Party{Attempt: value.attempt, Owner: value.owner, Meta: value.meta, Token: uint64(g.rev), Weight: g.weight}
	if g.first != nil {
		var ok bool
		if p.Left, ok = left[g.first.Lease]; !ok {
			p.Left = time.Duration(g.ttl) * time.Second
		}
	}
	return p, nil
}

// lifetimes returns how long the leases of claims live on: our own from what we know, others by
// asking. A lease that could not be asked about is not in the result.
func (b *Backend) lifetimes(ctx context.Context, kvs []*mvccpb.KeyValue) map[int64]time.Duration {
	left := map[int64]time.Duration{}
	var unknown []int64
	for _, kv := range kvs {
		if _, done := left[kv.Lease]; done {
			continue
		}
		left[kv.Lease] = 0
		if l := b.lives.find(clientv3.LeaseID(kv.Lease)); l != nil {
			left[kv.Lease] = l.left(time.Now())
		} else {
			unknown = append(unknown, kv.Lease)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for i, id := range unknown {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ttl := int64(-1)
			if i < maxLives {
				if r, err := b.client.TimeToLive(ctx, clientv3.LeaseID(id)); err == nil {
					ttl = max(0, r.TTL)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if ttl < 0 {
				delete(left, id)
			} else {
				left[id] = time.Duration(ttl) * time.Second
			}
		})
	}
	all.Wait()
	return left
}
