// Discovery is an HTTP service whose replicas are found by a group, and a client that balances over
// them while replicas join, change their weight, leave and are killed.
//
// Each replica joins a group with its address. The client watches the group and picks a replica for
// each request. A replica that is asked to stop leaves the group, goes on serving for a moment, and
// then stops: no request fails. One that is killed is in the group until its TTL is over, and requests
// to it are tried again elsewhere.
//
//	go run ./examples/discovery
//	go run ./examples/discovery -strategy least-in-flight
//	go run ./examples/discovery -backend redis://127.0.0.1:6379
//
// In memory the replicas are goroutines with listeners of their own, and a kill is played. On a server
// they are processes, which get SIGKILL and SIGTERM. More of them may be started by hand:
//
//	go run ./examples/discovery -backend redis://127.0.0.1:6379 -replica mine
package main

import (
	"cmp"
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

	"github.com/concord-go/concord/membership"
)

// plan is what the flags say.
type plan struct {
	backend  string
	group    string
	strategy membership.Strategy
	workers  int           // of the client
	ttl      time.Duration // of a member, 0 for the default
	linger   time.Duration // how long a replica serves after it has left
	each     time.Duration // how long a phase goes on after its event
	replica  string        // ID of this replica, "" for the one that shows all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "discovery:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	p, err := parse(out, args)
	if err != nil {
		return err
	}
	if p.replica != "" {
		return replicaProcess(ctx, out, p)
	}
	_, err = perform(ctx, out, p)
	return err
}

// perform shows everything, and says at the end what became of the requests.
func perform(ctx context.Context, out io.Writer, p *plan) (*show, error) {
	e, err := openEngine(p.backend)
	if err != nil {
		return nil, err
	}
	says := tellTo(out)
	defer soon(ctx, says, e.close)
	look, cancel := context.WithTimeout(ctx, longest)
	err = e.check(look) // what is wrong is told here, and not by each replica
	cancel()
	if err != nil {
		return nil, err
	}
	p.ttl = cmp.Or(p.ttl, e.ttl())
	s := newShow(says, p, e)
	err = s.run(ctx)
	s.tally.table(out)
	return s, errors.Join(err, s.tally.verdict())
}

var strategies = []membership.Strategy{membership.RoundRobin, membership.LeastInFlight, membership.PowerOfTwo}

// strategy finds a strategy by its name, with dashes.
func strategy(name string) (membership.Strategy, error) {
	var names []string
	for _, s := range strategies {
		names = append(names, strings.ReplaceAll(s.String(), " ", "-"))
		if name == names[len(names)-1] {
			return s, nil
		}
	}
	return 0, fmt.Errorf("must be one of %s", strings.Join(names, ", "))
}

func parse(out io.Writer, args []string) (p *plan, err error) {
	p = &plan{}
	flags := flag.NewFlagSet("discovery", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&p.backend, "backend", "memory", "`engine` of the group: "+backends)
	flags.StringVar(&p.group, "group", "discovery", "`name` of the group")
	flags.Func("strategy", "how the client picks: round-robin (default), least-in-flight or power-of-two-choices", func(s string) error {
		p.strategy, err = strategy(s)
		return err
	})
	flags.IntVar(&p.workers, "workers", 4, "how many requests the client sends at a time, 1 to 100")
	flags.DurationVar(&p.ttl, "ttl", 0, "how long a replica that died stays in the group, 300ms to 1m (default 1s, 2s on etcd)")
	flags.DurationVar(&p.linger, "linger", 500*time.Millisecond, "how long a replica serves after it has left the group, up to 1m")
	flags.DurationVar(&p.each, "each", 1500*time.Millisecond, "how long to look on after each event, 100ms to 1m")
	flags.StringVar(&p.replica, "replica", "", "be the replica with this `ID`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.workers < 1 || p.workers > 100 || p.ttl != 0 && p.ttl < 300*time.Millisecond || p.ttl > time.Minute ||
		p.linger < 0 || p.linger > time.Minute || p.each < 100*time.Millisecond || p.each > time.Minute {
		return nil, errors.New("-workers must be 1 to 100, -ttl 300ms to 1m, -linger at most 1m, -each 100ms to 1m")
	}
	return p, nil
}
