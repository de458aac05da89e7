package redisbackend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// Client is what a backend needs of a go-redis client. *redis.Client implements it, also as
// made by redis.NewFailoverClient, and so does *redis.ClusterClient. A type of your own around the
// latter must embed it: without its other methods it is taken for the client of a single server.
type Client interface {
	// Process sends one command and waits for its answer.
	Process(ctx context.Context, cmd redis.Cmder) error
	// Subscribe returns a subscription with a connection of its own.
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// clusterClient is what else is needed of the client of a cluster.
type clusterClient interface {
	Client
	SSubscribe(ctx context.Context, channels ...string) *redis.PubSub
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	ForEachMaster(ctx context.Context, visit func(context.Context, *redis.Client) error) error
	ReloadState(ctx context.Context)
	Options() *redis.ClusterOptions
}

// Backend keeps the state of Concord's primitives on Redis. It is made by [New]; the zero value is
// not usable. All methods may be called by several goroutines.
//
// The client belongs to the caller. Close the backend first, then the client.
type Backend struct {
	client  Client
	cluster clusterClient // client again, or nil if that is of a single server
	opt     Options
	names   *names
	proc    any // names this object, boxed
	maxq    any // room of a queue, boxed
	publish any // the command that publishes, boxed
	sites   []site
	hub     *hub
	leases  *leases
	marks   *marks
	limits  *limits
	guard   *Guard

	life    context.Context // ends with Close
	end     context.CancelFunc
	closed  atomic.Bool
	calls   sync.WaitGroup // calls whose caller stopped waiting
	closing sync.Mutex     // orders calls.Add before Close's calls.Wait
}

// New returns a backend that uses client. It sends nothing; [Backend.Check] tells whether the
// server and the client are set up well.
//
// Nil options mean the defaults. A nil client, options out of bounds (all of them at once, each
// an [*InvalidError]) and the client of a ring are errors; the last matches
// [lease.ErrUnsupported]: a ring moves keys to another server without their locks.
func New(client Client, o *Options) (*Backend, error) {
	opt := o.withDefaults()
	if err := errors.Join(validateClient(client, &opt), opt.validate()); err != nil {
		return nil, err
	}
	var proc [8]byte
	rand.Read(proc[:])
	b := &Backend{client: client, opt: opt, names: newNames(opt.Prefix), maxq: lease.MaxQueue, publish: "publish"}
	if b.cluster, _ = client.(clusterClient); b.cluster != nil {
		b.publish = "spublish"
	}
	b.proc = procName(proc)
	b.life, b.end = context.WithCancel(context.Background())
	b.hub = newHub(b)
	b.makeSites(procName(proc))
	b.leases = &leases{b}
	b.marks = newMarks(b)
	b.limits = newLimits(b)
	b.guard = &Guard{b}
	return b, nil
}

func validateClient(client Client, o *Options) error {
	if client == nil {
		return &InvalidError{Field: "client", Problem: "must not be nil"}
	}
	if v := reflect.ValueOf(client); v.Kind() == reflect.Pointer && v.IsNil() {
		return &InvalidError{Field: "client", Problem: "must not be a nil pointer"}
	}
	switch c := client.(type) {
	case *redis.Ring:
		return unsupported("redisbackend: %T", client)
	case clusterClient:
		if !c.Options().ContextTimeoutEnabled {
			return &InvalidError{Field: "client", Problem: "of a cluster must have ContextTimeoutEnabled: " +
				"else a node that hangs keeps the renewals of the others"}
		}
	case pipeliner:
	default:
		if o.WaitReplicas > 0 || o.CoalesceLimits {
			return &InvalidError{Field: "client", Problem: "must have the method Pipeline for WaitReplicas and CoalesceLimits"}
		}
	}
	return nil
}

// Leases returns the port under lock, election and membership.
func (b *Backend) Leases() lease.Backend { return b.leases }

// Fences returns the marks of resources that are guarded by a token. Those of resources kept on
// this Redis server are better raised by [Backend.Guard], in one step with the write.
func (b *Backend) Fences() fence.Marks { return b.marks }

// Limits returns the port under rate limits.
func (b *Backend) Limits() ratelimit.Backend { return b.limits }

// Guard returns guarded writes to the caller's own keys.
func (b *Backend) Guard() *Guard { return b.guard }

// Close drops the subscription and waits until the goroutines of the backend have ended, or ctx
// has; the error then says so. Every later call fails with [lease.ErrClosed]. Claims stay on the
// server: close what uses the backend first. Close may be called again, to wait on.
func (b *Backend) Close(ctx context.Context) error {
	b.closing.Lock()
	b.closed.Store(true)
	b.end()
	b.closing.Unlock()
	done := make(chan struct{})
	b.hub.close(b.sites)
	go func() {
		defer close(done)
		b.hub.wait()
		b.calls.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redisbackend: close: the subscription or an abandoned call has not ended: %w", ctx.Err())
	}
}

// ready refuses calls that must not be sent.
func (b *Backend) ready(ctx context.Context, verb string) error {
	if b.closed.Load() {
		return &opError{verb: verb, err: lease.ErrClosed}
	}
	if err := ctx.Err(); err != nil {
		return fail(ctx, verb, err)
	}
	return nil
}
