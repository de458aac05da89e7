package concordgrpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/concord-go/concord/membership"
)

// follower keeps one client up to date.
type follower struct {
	resolver *Resolver
	target   string
	cc       resolver.ClientConn
	config   *serviceconfig.ParseResult // nil: left to the client
	cancel   context.CancelFunc
	done     chan struct{} // closed when run has returned
}

// run tells the client every view until ctx ends or there will be no more.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	for view, err := range f.resolver.group.Watch(ctx) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.cc.ReportError(f.wrap(err)) // a client that has addresses goes on with them
			f.resolver.opt.Hooks.Unwatched(Info{Target: f.target, Err: f.wrap(err)})
			return
		}
		f.tell(&view)
	}
}

// tell hands a view on. A client must drop its connections also when nobody is left, so an empty list
// is a state like any other, and the error after it is for balancers that say why a call failed.
func (f *follower) tell(view *membership.View) {
	s := state(view.Members)
	s.ServiceConfig = f.config
	err := f.cc.UpdateState(s)
	if len(s.Endpoints) == 0 {
		err = membership.ErrNoMember
		f.cc.ReportError(f.wrap(err))
	}
	f.resolver.opt.Hooks.Resolved(Info{Target: f.target, Addresses: len(s.Endpoints), Stale: view.Stale, Err: f.wrap(err)})
}

func (f *follower) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("concordgrpc: resolve %q: %w", f.target, err)
}

// ResolveNow does nothing: changes are pushed.
func (f *follower) ResolveNow(resolver.ResolveNowOptions) {}

// Close ends the watch and waits for it. gRPC does not call it from within UpdateState.
func (f *follower) Close() {
	f.cancel()
	<-f.done
}
