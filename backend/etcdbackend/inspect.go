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
	listed   = 100 // waiting claims that Inspect shows
	lookups  = 8   // requests for the life of leases at the same time
	maxLives = 64  // leases that are asked about; of others only the TTL is told
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
	r, err := b.client.Txn(ctx).Then(
		clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithLimit(1+listed),
			clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend)),
		clientv3.OpGet(b.names.wordLine(line), clientv3.WithPrefix(), clientv3.WithLimit(1+listed)),
	).Commit()
	if err != nil {
		return lease.State{}, fail(ctx, verb, err)
	}
	asked := map[uint64]bool{}
	for _, kv := range r.Responses[1].GetResponseRange().Kvs {
		if w, err := parseWord(kv.Value); err == nil && !w.forced {
			asked[w.token] = true
		}
	}
	claims := r.Responses[0].GetResponseRange()
	left := b.lifetimes(ctx, claims.Kvs)
	var s lease.State
	var sum int64
	for _, kv := range claims.Kvs {
		m, ok := parseMember(string(kv.Key), kv.CreateRevision)
		if !ok {
			continue
		}
		p, err := b.party(ctx, kv, false)
		if err != nil {
			return lease.State{}, fail(ctx, verb, err)
		}
		if p.Left, ok = left[kv.Lease]; !ok {
			p.Left = time.Duration(m.ttl) * time.Second
		}
		s.Limit = m.limit
		if sum += m.weight; sum <= m.limit || m.limit == 0 {
			p.Asked = asked[p.Token]
			s.Holders = append(s.Holders, p)
		} else {
			p.Token = 0
			s.Waiters = append(s.Waiters, p)
		}
	}
	s.Waiting = int(claims.Count) - len(s.Holders)
	return s, nil
}

// party is a claim as others see it, as if it were seated. With left it also asks how long it lives.
func (b *Backend) party(ctx context.Context, kv *mvccpb.KeyValue, left bool) (lease.Party, error) {
	m, ok := parseMember(string(kv.Key), kv.CreateRevision)
	value, err := parseBlob(kv.Value)
	if !ok || err != nil {
		return lease.Party{}, malformed(kv.Value)
	}
	p := lease.Party{Attempt: value.attempt, Owner: value.owner, Meta: value.meta, Token: uint64(m.rev), Weight: m.weight}
	if left {
		if p.Left, ok = b.lifetimes(ctx, []*mvccpb.KeyValue{kv})[kv.Lease]; !ok {
			p.Left = time.Duration(m.ttl) * time.Second
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
