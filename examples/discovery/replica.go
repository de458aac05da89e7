package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// takes is how long a replica works on a request.
const takes = 5 * time.Millisecond

// replica is one copy of the service.
type replica struct {
	id      string
	plan    *plan
	through func(http.Handler) http.Handler // through which requests come
	says    teller
}

// serve is in the group and answers requests until ctx ends.
func (r *replica) serve(ctx context.Context, leases lease.Backend) error {
	group, err := membership.New(leases, r.plan.group, &membership.Options{TTL: r.plan.ttl, Hooks: r.hooks()})
	if err != nil {
		return err
	}
	defer soon(ctx, r.says, group.Close) // the last thing; then the backend is closed, and its client
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Whoever is in the group can be called: connections wait from now on.
	me, err := group.Join(ctx, membership.Member{ID: r.id, Addr: listener.Addr().String(), Weight: 1})
	if err != nil {
		listener.Close()
		if ctx.Err() != nil {
			return nil // asked to stop before it has begun
		}
		return err
	}
	server := &http.Server{Handler: r.through(r.handler(me)), ReadHeaderTimeout: longest}
	var serving sync.WaitGroup
	defer serving.Wait()
	failed := make(chan error, 1)
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	select {
	case <-ctx.Done(): // asked to stop
	case <-me.Context().Done(): // put out of the group for good
		err = context.Cause(me.Context())
	case err = <-failed:
	}
	r.says("leaves the group, and goes on serving for %v", r.plan.linger)
	soon(ctx, r.says, me.Leave)
	time.Sleep(r.plan.linger) // until every client has heard of it
	soon(ctx, r.says, server.Shutdown)
	return err
}

// handler is the service: each request is answered with the ID. PUT /weight/3 changes the weight.
func (r *replica) handler(me *membership.Registration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(takes)
		_, _ = io.WriteString(w, r.id) // the client notices
	})
	mux.HandleFunc("PUT /weight/{weight}", func(w http.ResponseWriter, q *http.Request) {
		m := me.Member()
		m.Weight, _ = strconv.Atoi(q.PathValue("weight")) // 0 is refused below
		switch err := me.Update(q.Context(), m); {
		case errors.Is(err, membership.ErrInvalid):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return mux
}

func (r *replica) hooks() *membership.Hooks {
	return &membership.Hooks{
		Ended: func(i membership.Info) {
			if lost := (*membership.LostError)(nil); !i.Final && errors.As(i.Err, &lost) {
				r.says("is lost to the group: %v", lost.Cause)
			}
		},
		Joined: func(i membership.Info) {
			if i.Again {
				r.says("has joined again by itself")
			}
		},
	}
}

// teller writes a line. It may be called by several goroutines.
type teller func(format string, args ...any)

func tellTo(out io.Writer) teller {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
}
