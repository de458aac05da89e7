// Gateway is an API gateway with limits: one for each client, and one for all of them together. It
// finds its upstreams by a group, and balances requests over them.
//
// A load of clients shows what the limits do: some obey what the answers say and are never refused, one
// does not and is, one sends all at once, and a crowd asks for more than all may have together. Whoever
// was refused comes again when it was told to, and passes. Meanwhile an upstream leaves.
//
//	go run ./examples/gateway
//	go run ./examples/gateway -backend redis://127.0.0.1:6379
//
// In memory all is one process. On a server the upstreams and the two gateways, which share the limits,
// are processes. They can be started by hand, too:
//
//	go run ./examples/gateway -backend redis://127.0.0.1:6379 -upstream u1
//	go run ./examples/gateway -backend redis://127.0.0.1:6379 -gateway 127.0.0.1:8080
//	go run ./examples/gateway -load http://127.0.0.1:8080
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// plan is what the flags say.
type plan struct {
	backend  string
	group    string
	each     time.Duration // how long a step goes on
	linger   time.Duration // how long an upstream serves after it has left
	upstream string        // ID of this upstream, "" if it is none
	gateway  string        // address of this gateway, "" if it is none
	load     string        // URLs of the gateways to be loaded, "" if this is no load
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	p, err := parse(out, args)
	if err != nil {
		return err
	}
	says := tellTo(out)
	if p.load != "" {
		l, err := newLoad(strings.Split(p.load, ","), p.each, says)
		if err != nil {
			return err
		}
		return errors.Join(l.run(ctx, l.steps()), l.tally.end(out))
	}
	e, err := openEngine(p.backend)
	if err != nil {
		return err
	}
	defer soon(ctx, says, e.close)
	switch {
	case p.upstream != "":
		return (&upstream{id: p.upstream, plan: p, says: says, ready: listens(says)}).serve(ctx, e)
	case p.gateway != "":
		return (&gateway{addr: p.gateway, plan: p, says: says, ready: listens(says)}).serve(ctx, e)
	}
	_, err = perform(ctx, out, p, e)
	return err
}

// perform shows everything, and says at the end what became of the requests.
func perform(ctx context.Context, out io.Writer, p *plan, e *engine) (*show, error) {
	look, cancel := context.WithTimeout(ctx, longest)
	err := e.check(look) // what is wrong is told here, and not by each process
	cancel()
	if err != nil {
		return nil, err
	}
	s := newShow(p, e, tellTo(out))
	err = s.run(ctx)
	return s, errors.Join(err, s.tally.end(out))
}

func parse(out io.Writer, args []string) (*plan, error) {
	p := &plan{}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&p.backend, "backend", "memory", "`engine` of the group and the limits: "+backends)
	flags.StringVar(&p.group, "group", "gateway", "`name` of the group, and of what the limits are shared by")
	flags.DurationVar(&p.each, "each", 1500*time.Millisecond, "how long a step goes on, 100ms to 1m")
	flags.DurationVar(&p.linger, "linger", 500*time.Millisecond, "how long an upstream serves after it has left the group, up to 1m")
	flags.StringVar(&p.upstream, "upstream", "", "be the upstream with this `ID`")
	flags.StringVar(&p.gateway, "gateway", "", "be a gateway on this `address`")
	flags.StringVar(&p.load, "load", "", "be the load of the gateways with these `URLs`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	roles := 0
	for _, role := range []string{p.upstream, p.gateway, p.load} {
		if role != "" {
			roles++
		}
	}
	switch {
	case p.each < 100*time.Millisecond || p.each > time.Minute || p.linger < 0 || p.linger > time.Minute:
		return nil, errors.New("-each must be 100ms to 1m, -linger at most 1m")
	case p.group == "" || len(p.group) > 128:
		return nil, errors.New("-group must have 1 to 128 bytes")
	case roles > 1:
		return nil, errors.New("-upstream, -gateway and -load exclude each other")
	case p.upstream+p.gateway != "" && p.backend == "memory":
		return nil, errors.New("-upstream and -gateway are processes: -backend must be a server")
	}
	return p, nil
}
