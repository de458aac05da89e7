package etcdbackend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// Client is what a backend needs of an etcd client. *clientv3.Client implements it.
type Client interface {
	// Txn begins a transaction. All requests on keys are transactions.
	Txn(ctx context.Context) clientv3.Txn
	// Grant makes a lease of ttl seconds.
	Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error)
	// Revoke ends a lease that has served, and deletes its keys.
	Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error)
	// KeepAliveOnce renews a lease with one request.
	KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error)
	// TimeToLive tells how long the lease of another process lives on.
	TimeToLive(ctx context.Context, id clientv3.LeaseID, opts ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error)
	// Watch tells of what happens to keys.
	Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan
	// RequestProgress asks for a sign of life of the watches with that ctx.
	RequestProgress(ctx context.Context) error
}

// Backend keeps the state of Concord's primitives on one etcd cluster. It is made by [New]; the
// zero value is not usable. All methods may be called by several goroutines.
//
// The client belongs to the caller. Close the backend first, then the client.
type Backend struct {
	client  Client
	opt     Options
	id      string // names this object
	names   *names
	work    *work
	lives   *lifelines
	table   *table
	hub     *hub
	janitor *janitor
	leases  *leases
	marks   *marks
	limits  *limits
	guard   *Guard
}

// New returns a backend that uses client. It sends nothing; [Backend.Check] tells whether the
// servers and the client are set up well.
//
// Nil options mean the defaults. A nil client and options out of bounds (all of them at once, each
// an [*InvalidError]) are errors.
func New(client Client, o *Options) (*Backend, error) {
	opt := o.withDefaults()
	if err := errors.Join(validateClient(client), opt.validate()); err != nil {
		return nil, err
	}
	b := &Backend{client: client, opt: opt, id: rand.Text()[:13], names: newNames(opt.Prefix), work: newWork()}
	b.lives = newLifelines(b)
	b.table = newTable(b)
	b.hub = newHub(b)
	b.janitor = newJanitor(b)
	b.leases = &leases{b}
	b.marks = &marks{b}
	b.limits = newLimits(b)
	b.guard = &Guard{b}
	return b, nil
}

func validateClient(client Client) error {
	if client == nil {
		return &InvalidError{Field: "client", Problem: "must not be nil"}
	}
	if v := reflect.ValueOf(client); v.Kind() == reflect.Pointer && v.IsNil() {
		return &InvalidError{Field: "client", Problem: "must not be a nil pointer"}
	}
	return nil
}

// Leases returns the port under lock, election and membership.
func (b *Backend) Leases() lease.Backend { return b.leases }

// Fences returns the marks of resources that are guarded by a token. Those of resources kept in
// this etcd are better raised by [Backend.Guard], in one step with the write.
func (b *Backend) Fences() fence.Marks { return b.marks }

// Limits returns the port under rate limits.
func (b *Backend) Limits() ratelimit.Backend { return b.limits }

// Guard returns guarded writes to the caller's own keys.
func (b *Backend) Guard() *Guard { return b.guard }

// Close ends the watch and the renewal of leases, and waits until the goroutines of the backend
// have ended, or ctx has; the error then says so. Every later call fails with [lease.ErrClosed].
// What is still claimed stays on the server until its lease lapses: close what uses the backend
// first. Close may be called again, to wait on.
func (b *Backend) Close(ctx context.Context) error {
	select {
	case <-b.work.close():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("etcdbackend: close: the watch or a renewal has not ended: %w", ctx.Err())
	}
}

// ready refuses calls that must not be sent.
func (b *Backend) ready(ctx context.Context, verb string) error {
	if b.work.ctx.Err() != nil {
		return &opError{verb: verb, err: lease.ErrClosed}
	}
	if err := ctx.Err(); err != nil {
		return fail(ctx, verb, err)
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) { // ctx may not have noticed yet
		return fail(ctx, verb, context.DeadlineExceeded)
	}
	return nil
}
