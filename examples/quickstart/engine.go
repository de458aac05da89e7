package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// engine is where the locks are, and the data they protect.
type engine struct {
	name   string
	leases lease.Backend
	store  func(title string) store
	close  func()
}

// store keeps the counter.
type store interface {
	raise(context.Context, fence.Token) error
	read(context.Context) (int, error)
	write(context.Context, int) error
	writeFenced(context.Context, fence.Token, int) error
	note(context.Context) error
	totals(context.Context) (totals, error)
}

// totals are the counter, and how many additions were made to it.
type totals struct{ count, made int }

// keep is how long the data of the example stays on a server.
const keep = 10 * time.Minute

// openers are the engines by the scheme of their URL.
var openers = map[string]func(context.Context, *url.URL) (*engine, error){
	"redis":          openRedis,
	"redis+sentinel": openSentinel,
	"redis+cluster":  openCluster,
	"etcd":           openEtcd,
}

const backends = "memory, redis://host:port, redis+sentinel://host:port,…/master, redis+cluster://host:port,… or etcd://host:port,…"

func open(ctx context.Context, name string) (*engine, error) {
	if name == "memory" {
		return openMemory()
	}
	scheme, _, _ := strings.Cut(name, "://")
	u, err := url.Parse(name)
	if err != nil || openers[scheme] == nil || u.Host == "" {
		return nil, fmt.Errorf("-backend must be %s, not %q", backends, name)
	}
	return openers[scheme](ctx, u)
}

// checked calls check, and end if it fails.
func checked(ctx context.Context, check func(context.Context) error, end func()) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := check(ctx)
	if err != nil {
		end()
	}
	return err
}

// closer closes a backend, and then its client.
func closer(ctx context.Context, backend func(context.Context) error, client func() error) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := errors.Join(backend(ctx), client()); err != nil {
			fmt.Fprintln(os.Stderr, "quickstart:", err)
		}
	}
}
