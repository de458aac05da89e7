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
)

// Client is what a backend needs of a go-redis client. *redis.Client implements it.
type Client interface {
	// Process sends one command and waits for its answer.
	Process(ctx context.Context, cmd redis.Cmder) error
	// Subscribe returns a subscription with a connection of its own.
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// Backend keeps the state of Concord's primitives on one Redis server. It is made by [New]; the
// zero value is not usable. All methods may be called by several goroutines.
//
// The client belongs to the caller. Close the backend first, then the client.
type Backend struct {
	client Client
	opt    Options
	names  *names
	proc   any // names this object, boxed
	maxq   any // room of a queue, boxed
	clock  clock
	hub    *hub
	leases *leases
	marks  *marks
	guard  *Guard

	closed  atomic.Bool
	calls   sync.WaitGroup // calls whose caller stopped waiting
	closing sync.Mutex     // orders calls.Add before Close's calls.Wait
}

// New returns a backend that uses client. It sends nothing; [Backend.Check] tells whether the
// server and the client are set up well.
//
// Nil options mean the defaults. A nil client, options out of bounds (all of them at once, each
// an [*InvalidError]) and clients of a cluster or ring ([lease.ErrUnsupported]: not yet) are
// errors.
func New(client Client, o *Options) (*Backend, error) {
	opt := o.withDefaults()
	if err := errors.Join(validateClient(client), opt.validate()); err != nil {
		return nil, err
	}
	var proc [8]byte
	rand.Read(proc[:])
	b := &Backend{client: client, opt: opt, names: newNames(opt.Prefix), maxq: lease.MaxQueue}
	name := procName(proc)
	b.proc = name
	b.hub = newHub(client, b.names.channel(name), &b.clock, opt.Logger)
	b.leases = &leases{b}
	b.marks = newMarks(b)
	b.guard = &Guard{b}
	return b, nil
}

func validateClient(client Client) error {
	switch client.(type) {
	case *redis.ClusterClient, *redis.Ring:
		return unsupported("redisbackend: %T", client)
	case nil:
		return &InvalidError{Field: "client", Problem: "must not be nil"}
	}
	if v := reflect.ValueOf(client); v.Kind() == reflect.Pointer && v.IsNil() {
		return &InvalidError{Field: "client", Problem: "must not be a nil pointer"}
	}
	return nil
}

// Leases returns the port under lock, election and membership.
func (b *Backend) Leases() lease.Backend { return b.leases }

// Fences returns the marks of resources that are guarded by a token. Those of resources kept on
// this Redis server are better raised by [Backend.Guard], in one step with the write.
func (b *Backend) Fences() fence.Marks { return b.marks }

// Guard returns guarded writes to the caller's own keys.
func (b *Backend) Guard() *Guard { return b.guard }

// Close drops the subscription and waits until the goroutines of the backend have ended, or ctx
// has; the error then says so. Every later call fails with [lease.ErrClosed]. Claims stay on the
// server: close what uses the backend first. Close may be called again, to wait on.
func (b *Backend) Close(ctx context.Context) error {
	b.closing.Lock()
	b.closed.Store(true)
	b.closing.Unlock()
	done := make(chan struct{})
	b.hub.close()
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
