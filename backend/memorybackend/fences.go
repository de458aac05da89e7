package memorybackend

import (
	"context"
	"sync"

	"github.com/concord-go/concord/fence"
)

// resources is the table of marks. It is apart from the leases, as a resource is apart from the
// lock service: nothing that happens to leases touches a mark.
type resources struct {
	done <-chan struct{} // the backend's

	mu  sync.Mutex // held for moments only
	all map[string]*resource
}

// resource is a mark and the right to work under it.
type resource struct {
	turn chan struct{} // full while somebody works on the resource
	mark fence.Token
}

// enter waits for the resource and raises its mark. The caller has the resource to itself until
// it calls leave: a mark raised in the middle of a write would not keep that write out.
func (rs *resources) enter(ctx context.Context, name string, token fence.Token) (leave func(), err error) {
	if err := rs.alive(ctx); err != nil {
		return nil, err
	}
	r := rs.get(name)
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-rs.done:
		return nil, errClosed
	}
	leave = func() { <-r.turn }
	if err := rs.raise(r, name, token); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// alive returns why nothing can be done any more.
func (rs *resources) alive(ctx context.Context) error {
	select {
	case <-rs.done:
		return errClosed
	default:
		return ctx.Err()
	}
}

// get returns the resource, new if need be.
func (rs *resources) get(name string) *resource {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[name]
	if r == nil {
		r = &resource{turn: make(chan struct{}, 1)}
		rs.all[name] = r
	}
	return r
}

func (rs *resources) raise(r *resource, name string, token fence.Token) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if token < r.mark {
		return &fence.FencedError{Resource: name, Token: token, Mark: r.mark}
	}
	r.mark = token
	return nil
}

func (rs *resources) mark(name string) fence.Token {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.all[name]; r != nil {
		return r.mark
	}
	return 0
}

// marks is the port.
type marks struct{ b *Backend }

// Raise implements [fence.Marks]. It waits while a function runs under [Guard.Do] on the resource.
func (m marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	if err := fence.Validate(resource, token); err != nil {
		return err
	}
	if err := m.b.arrive(ctx); err != nil {
		return err
	}
	leave, err := m.b.resources.enter(ctx, resource, token)
	if err != nil {
		return err
	}
	leave()
	return m.b.leave()
}

// Mark implements [fence.Marks].
func (m marks) Mark(ctx context.Context, resource string) (fence.Token, error) {
	if err := fence.ValidateResource(resource); err != nil {
		return 0, err
	}
	if err := m.b.arrive(ctx); err != nil {
		return 0, err
	}
	mark := m.b.resources.mark(resource)
	if err := m.b.leave(); err != nil {
		return 0, err
	}
	return mark, nil
}
