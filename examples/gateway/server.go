package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// listenPrefix is what a server says before its address, once it can be used.
const listenPrefix = "listens at "

// anyPort is where servers of a show listen.
const anyPort = "127.0.0.1:0"

// listens returns a func that tells an address to whoever started this process.
func listens(says teller) func(addr string) {
	return func(addr string) { says("%s%s", listenPrefix, addr) }
}

// serving answers the requests of listener with h until ctx ends, or useful does and says why. Then it does
// what leave says, and answers the requests that are under way.
func serving(ctx, useful context.Context, says teller, listener net.Listener, h http.Handler, leave func()) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: longest}
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	defer running.Wait()
	var err error
	select {
	case <-ctx.Done(): // asked to stop
	case <-useful.Done():
		err = context.Cause(useful)
	case err = <-failed:
	}
	leave()
	soon(ctx, says, server.Shutdown)
	return err
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
