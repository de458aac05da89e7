package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"

	"github.com/concord-go/concord/membership"
)

// gateway passes requests on to the upstreams, within the limits.
type gateway struct {
	addr  string // to listen at
	plan  *plan
	says  teller
	ready func(addr string)
}

// serve passes requests on until ctx ends.
func (g *gateway) serve(ctx context.Context, e *engine) error {
	limits, err := newLimits(e)
	if err != nil {
		return err
	}
	defer soon(ctx, g.says, limits.close) // what was taken ahead is given back
	group, err := membership.New(e.leases, g.plan.group, &membership.Options{TTL: e.ttl(), Hooks: &membership.Hooks{}})
	if err != nil {
		return err
	}
	defer soon(ctx, g.says, group.Close)
	picker, err := membership.NewPicker(membership.PowerOfTwo)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: longest / 5}).DialContext, ResponseHeaderTimeout: longest, MaxIdleConnsPerHost: 64,
	}
	defer transport.CloseIdleConnections()
	handler, err := limits.before(g.proxy(&spread{picker, transport}), g.plan.group)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", g.addr)
	if err != nil {
		return err
	}
	useful, unfollow := context.WithCancelCause(context.WithoutCancel(ctx)) // for as long as requests are served
	var following sync.WaitGroup
	defer following.Wait()
	defer unfollow(nil)
	following.Go(func() { unfollow(g.follow(useful, group, picker, transport)) })
	g.ready(listener.Addr().String())
	return serving(ctx, useful, g.says, listener, handler, func() {})
}

// follow keeps the picker up to date, as Picker.Follow does, and shows what changes.
func (g *gateway) follow(ctx context.Context, group *membership.Group, picker *membership.Picker, t *http.Transport) error {
	for view, err := range group.Watch(ctx) {
		if err != nil {
			return err
		}
		picker.Set(view.Members)
		for _, m := range view.Joined {
			g.says("+ %s", m.ID)
		}
		for _, m := range view.Left {
			g.says("- %s", m.ID)
			t.CloseIdleConnections() // its server waits for those that were never used
		}
		if view.Stale != nil {
			g.says("keeps the upstreams it knows: %v", view.Stale)
		}
	}
	return nil
}

func (g *gateway) proxy(to http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "upstream" // the transport knows which
		},
		Transport: to,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			switch {
			case r.Context().Err() != nil: // the client has gone
			case errors.Is(err, membership.ErrNoMember):
				http.Error(w, "no upstream is there", http.StatusServiceUnavailable)
			default:
				g.says("%v", err)
				http.Error(w, "the upstream does not answer", http.StatusBadGateway)
			}
		},
	}
}
