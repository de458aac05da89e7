// Resilient is two clients of two servers that have the same troubles: a slow tail, errors, an outage.
// Both clients make up to three attempts at a call. The plain one has nothing else; the guarded one
// has a budget for further attempts, a circuit breaker and hedges.
//
//	go run ./examples/resilient
//	go run ./examples/resilient -breaker=false -hedge=false
//
// Everything is in one process, on loopback, and ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan is what the flags say.
type plan struct {
	budget, breaker, hedge bool // what the guarded client has
	alone                  bool // without the plain one
	rate                   int  // calls a second
	each                   time.Duration

	listen func() (net.Listener, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "resilient:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	p, err := parse(out, args)
	if err != nil {
		return err
	}
	_, err = perform(ctx, out, p)
	return err
}

func parse(out io.Writer, args []string) (*plan, error) {
	p := &plan{
		listen: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		dial:   (&net.Dialer{}).DialContext,
	}
	flags := flag.NewFlagSet("resilient", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.BoolVar(&p.budget, "budget", true, "bound further attempts of the guarded client by a budget")
	flags.BoolVar(&p.breaker, "breaker", true, "stop its calls by a circuit breaker")
	flags.BoolVar(&p.hedge, "hedge", true, "let it make a second attempt beside one that is slow")
	flags.BoolVar(&p.alone, "alone", false, "leave out the plain client")
	flags.IntVar(&p.rate, "rate", 100, "calls a second of each client, 10 to 500; each server can do half as many again")
	flags.DurationVar(&p.each, "each", 3*time.Second, "how long a phase goes on, 100ms to 1m")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.rate < 10 || p.rate > 500 || p.each < 100*time.Millisecond || p.each > time.Minute {
		return nil, errors.New("-rate must be 10 to 500, -each 100ms to 1m")
	}
	return p, nil
}
