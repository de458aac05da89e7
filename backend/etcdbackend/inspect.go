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
	s, err := l.inspect(ctx, b.names.line(key))
	if err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	return s, nil
}

// inspect is Inspect for a line.
func (l *leases) inspect(ctx context.Context, line string) (lease.State, error) {
	b := l.b
	claims, words, top, err := b.list(ctx, line, 1+listed)
	if err == nil && claims.More { // what is further behind may say who is seated
		var all int64
		if first := entries(claims.Kvs); top.epoch > 0 || len(first) > 0 && first[0].limit != 1 {
			all = most
		}
		claims, words, top, err = b.list(ctx, line, all)
	}
	if err != nil {
		return lease.State{}, err
	}
	parties := groups(entries(claims.Kvs))
	s := lease.State{Limit: judge(parties, top, 0), Waiting: int(claims.Count) - len(claims.Kvs)}
	asked := map[uint64]bool{}
	for _, kv := range words {
		if w, err := parseWord(kv.Value); err == nil && w.kind == toLeave {
			asked[w.token] = true
		}
	}
	left := b.lifetimes(ctx, claims.Kvs)
	for _, g := range inTurn(parties) {
		if !g.seated {
			s.Waiting++
		}
		if g.first == nil {
			continue // only its lock-delay is left
		}
		p, err := g.party(left)
		if err != nil {
			return lease.State{}, err
		}
		switch {
		case g.seated && len(s.Holders) < listed:
			p.Asked = asked[p.Token]
			s.Holders = append(s.Holders, p)
		case !g.seated && len(s.Waiters) < listed:
			s.Waiters = append(s.Waiters, p)
		}
	}
	return s, nil
}

// list reads the beginning of a line with its values, or with limit 0 all of it, the words to holders,
// and the top.
func (b *Backend) list(ctx context.Context, line string, limit int64) (claims *rangeResponse, words []*mvccpb.KeyValue, top member, err error) {
	r, err := b.client.Txn(ctx).Then(
		readFirst(line, limit),
		clientv3.OpGet(b.names.wordLine(line), clientv3.WithPrefix(), clientv3.WithLimit(limit)),
		readTop(line),
	).Commit()
	if err != nil {
		return nil, nil, member{}, err
	}
	words, top = r.Responses[1].GetResponseRange().Kvs, topOf(r.Responses[2])
	return r.Responses[0].GetResponseRange(), words, top, nil
}

// party is the first claim of a range as others see it, as if it were seated. It also asks how long
// it lives.
func (b *Backend) party(ctx context.Context, kvs []*mvccpb.KeyValue) (lease.Party, error) {
	all := groups(entries(kvs))
	if len(all) == 0 {
		return lease.Party{}, nil
	}
	g := &all[0]
	g.seated, g.token = true, g.rev
	if g.first == nil {
		return g.party(nil)
	}
	return g.party(b.lifetimes(ctx, []*mvccpb.KeyValue{g.first}))
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
