package etcdbackend

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// relay stands between backend and client. It counts requests, and lets a test do something
// instead of a transaction.
type relay struct {
	*clientv3.Client
	txns, grants, revokes, keeps, lives, watches, progress atomic.Int64

	mu      sync.Mutex
	around  func(ctx context.Context, execute func()) error
	instead func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error)
	keep    func(next func() (*clientv3.LeaseKeepAliveResponse, error)) (*clientv3.LeaseKeepAliveResponse, error)
	mute    bool // progress is not asked for
	cuts    []context.CancelFunc
	barrier chan struct{} // a watch that is opened waits for it
}

func newRelay(t testing.TB, client *clientv3.Client) *relay {
	if client == nil {
		client = connect(t, endpoints(t))
	}
	return &relay{Client: client}
}

// counted is a backend whose requests are counted.
func counted(t testing.TB) (*Backend, *relay) {
	t.Helper()
	r := newRelay(t, nil)
	return openWith(t, r, &Options{Prefix: freshPrefix(t, r.Client), Logger: quiet()}), r
}

func (r *relay) on(instead func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead = instead
}

func (r *relay) onKeep(keep func(next func() (*clientv3.LeaseKeepAliveResponse, error)) (*clientv3.LeaseKeepAliveResponse, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep = keep
}

// counts is how many requests there were of each kind.
type counts struct{ txns, grants, revokes, lives int64 }

// take returns the counts since the last call.
func (r *relay) take() counts {
	return counts{r.txns.Swap(0), r.grants.Swap(0), r.revokes.Swap(0), r.lives.Swap(0)}
}

// onEach has a test run every request. What it returns as an error takes the place of the answer.
func (r *relay) onEach(around func(ctx context.Context, execute func()) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.around = around
}

// pass counts a request and sends it.
func pass[R any](ctx context.Context, r *relay, count *atomic.Int64, send func() (*R, error)) (answer *R, err error) {
	count.Add(1)
	r.mu.Lock()
	around := r.around
	r.mu.Unlock()
	if around == nil {
		return send()
	}
	if failure := around(ctx, func() { answer, err = send() }); failure != nil {
		return nil, failure
	}
	return answer, err
}

func (r *relay) Txn(ctx context.Context) clientv3.Txn {
	return &relayTxn{Txn: r.Client.Txn(ctx), ctx: ctx, relay: r}
}

func (r *relay) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	return pass(ctx, r, &r.grants, func() (*clientv3.LeaseGrantResponse, error) { return r.Client.Grant(ctx, ttl) })
}

func (r *relay) Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	return pass(ctx, r, &r.revokes, func() (*clientv3.LeaseRevokeResponse, error) { return r.Client.Revoke(ctx, id) })
}

func (r *relay) KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	return pass(ctx, r, &r.keeps, func() (*clientv3.LeaseKeepAliveResponse, error) {
		r.mu.Lock()
		keep := r.keep
		r.mu.Unlock()
		next := func() (*clientv3.LeaseKeepAliveResponse, error) { return r.Client.KeepAliveOnce(ctx, id) }
		if keep != nil {
			return keep(next)
		}
		return next()
	})
}

func (r *relay) TimeToLive(ctx context.Context, id clientv3.LeaseID, opts ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error) {
	return pass(ctx, r, &r.lives, func() (*clientv3.LeaseTimeToLiveResponse, error) { return r.Client.TimeToLive(ctx, id, opts...) })
}

func (r *relay) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	r.watches.Add(1)
	r.mu.Lock()
	ctx, cut := context.WithCancel(ctx)
	r.cuts = append(r.cuts, cut)
	barrier := r.barrier
	r.mu.Unlock()
	if barrier != nil {
		select {
		case <-barrier:
		case <-ctx.Done():
		}
	}
	return r.Client.Watch(ctx, key, opts...)
}

// cut ends the watches. No other is opened until the returned func is called.
func (r *relay) cut() (mend func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cut := range r.cuts {
		cut()
	}
	barrier := make(chan struct{})
	r.cuts, r.barrier = nil, barrier
	return func() {
		r.mu.Lock()
		r.barrier = nil
		r.mu.Unlock()
		close(barrier)
	}
}

func (r *relay) RequestProgress(ctx context.Context) error {
	r.progress.Add(1)
	r.mu.Lock()
	mute := r.mute
	r.mu.Unlock()
	if mute {
		return nil
	}
	return r.Client.RequestProgress(ctx)
}

type relayTxn struct {
	clientv3.Txn
	ctx   context.Context
	relay *relay
}

func (t *relayTxn) If(cs ...clientv3.Cmp) clientv3.Txn   { t.Txn = t.Txn.If(cs...); return t }
func (t *relayTxn) Then(ops ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Then(ops...); return t }
func (t *relayTxn) Else(ops ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Else(ops...); return t }

func (t *relayTxn) Commit() (*clientv3.TxnResponse, error) {
	return pass(t.ctx, t.relay, &t.relay.txns, func() (*clientv3.TxnResponse, error) {
		t.relay.mu.Lock()
		instead := t.relay.instead
		t.relay.mu.Unlock()
		if instead != nil {
			return instead(t.Txn.Commit)
		}
		return t.Txn.Commit()
	})
}
