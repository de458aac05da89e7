package concordgrpc

import (
	"context"

	"google.golang.org/grpc/resolver"

	"github.com/concord-go/concord/membership"
)

// Resolver tells gRPC clients the addresses of the members of a group. It is a [resolver.Builder], to
// be given to each client with grpc.WithResolvers; one Resolver serves any number of clients, each of
// which watches the group for itself. It needs no closing: closing a client ends its watch.
//
// Resolvers come from [NewResolver]; the zero Resolver is not usable. Its methods may be called by
// several goroutines.
type Resolver struct {
	group *membership.Group
	opt   ResolverOptions
}

var _ resolver.Builder = (*Resolver)(nil)

// NewResolver returns a Resolver of the members of g, which stays the caller's: close the clients first,
// then g.
//
// Arguments and options that are out of bounds are reported all at once, each as an [*InvalidError].
func NewResolver(g *membership.Group, o *ResolverOptions) (*Resolver, error) {
	var p problems
	p.check(g != nil, "group", "must not be nil")
	opt := o.withDefaults(&p)
	if err := p.err("new resolver"); err != nil {
		return nil, err
	}
	return &Resolver{group: g, opt: opt}, nil
}

// Scheme returns what targets begin with.
func (r *Resolver) Scheme() string { return r.opt.Scheme }

// Build is called by gRPC when a client needs addresses: at its first call, at Connect, and at the first
// call after it was idle. It returns at once, and the resolver that it returns calls UpdateState with
// all addresses after each view of the group. Closing that one ends its watch and waits until it has
// ended.
//
// The target is scheme:///name. The group is that of the Resolver; the name is what gRPC makes of it,
// the :authority of calls and the name that a certificate must have. A target without name or with a
// host, such as concord://name, is refused with an [*InvalidError], and so is a service config that gRPC
// does not take. The calls of the client then fail with the status UNAVAILABLE and this error.
//
// An error of UpdateState, such as [google.golang.org/grpc/balancer.ErrBadResolverState] from a balancer
// that cannot use the addresses, asks a resolver to look again. That would find the same: it is told
// to the hooks, and the next view is the next try. ResolveNow does nothing for the same reason.
func (r *Resolver) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	f := &follower{resolver: r, target: target.URL.String(), cc: cc, done: make(chan struct{})}
	var p problems
	p.check(target.URL.Host == "" && target.Endpoint() != "", "target", "must be %s:///name and not %q", r.opt.Scheme, f.target)
	if !r.opt.NoServiceConfig {
		f.config = cc.ParseServiceConfig(r.opt.ServiceConfig)
		if err := f.config.Err; err != nil {
			p.check(false, "ServiceConfig", "%v", err)
		}
	}
	if err := p.err("build"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go f.run(ctx)
	return f, nil
}
