package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/concord-go/concord/membership"
)

// takes is how long an upstream works on a request.
const takes = 5 * time.Millisecond

// upstream is a replica of the service behind the gateways.
type upstream struct {
	id    string
	plan  *plan
	says  teller
	ready func(addr string)
}

// serve is in the group and answers requests until ctx ends.
func (u *upstream) serve(ctx context.Context, e *engine) error {
	hooks := &membership.Hooks{Ended: func(i membership.Info) {
		if !i.Final {
			u.says("is lost to the group, and will join again: %v", i.Err)
		}
	}}
	group, err := membership.New(e.leases, u.plan.group, &membership.Options{TTL: e.ttl(), Hooks: hooks})
	if err != nil {
		return err
	}
	defer soon(ctx, u.says, group.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Whoever is in the group can be called: connections wait from now on.
	me, err := group.Join(ctx, membership.Member{ID: u.id, Addr: listener.Addr().String(), Weight: 1})
	if err != nil {
		listener.Close()
		if ctx.Err() != nil {
			return nil // asked to stop before it has begun
		}
		return err
	}
	u.ready(listener.Addr().String())
	return serving(ctx, me.Context(), u.says, listener, http.HandlerFunc(u.answer), func() {
		u.says("leaves the group, and goes on serving for %v", u.plan.linger)
		soon(ctx, u.says, me.Leave)
		time.Sleep(u.plan.linger) // until every gateway has heard of it
	})
}

// answer answers with the ID.
func (u *upstream) answer(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(takes):
		_, _ = io.WriteString(w, u.id) // the gateway notices
	case <-r.Context().Done():
	}
}
