// Quickstart shows in a few seconds why a lock needs a fence.
//
// Workers add to one counter under a lock. One of them is paused for longer than its lock lasts,
// another takes over, and then the first one wakes up and writes what it had worked out before.
// The story is told twice: with the store checking the fencing token, and without.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -backend redis://127.0.0.1:6379
//	go run ./examples/quickstart -backend redis+sentinel://127.0.0.1:26379,127.0.0.1:26380/mymaster
//	go run ./examples/quickstart -backend redis+cluster://127.0.0.1:7001,127.0.0.1:7002
//	go run ./examples/quickstart -backend etcd://127.0.0.1:2379
//
// On a server it may run in several processes at once; they all share one counter.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	backend := flags.String("backend", "memory", "`engine`: "+backends)
	plan := plan{}
	flags.IntVar(&plan.workers, "workers", 4, "number of workers, 2 to 100")
	flags.IntVar(&plan.rounds, "rounds", 5, "additions by each worker, 1 to 1000")
	flags.DurationVar(&plan.ttl, "ttl", 0, "how long a lock lasts, 100ms to 1m (default 600ms, 2s on etcd)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if plan.workers < 2 || plan.workers > 100 || plan.rounds < 1 || plan.rounds > 1000 ||
		plan.ttl != 0 && plan.ttl < 100*time.Millisecond || plan.ttl > time.Minute {
		return fmt.Errorf("-workers must be 2 to 100, -rounds 1 to 1000, -ttl 100ms to 1m")
	}
	engine, err := open(ctx, *backend)
	if err != nil {
		return err
	}
	defer engine.close()
	if plan.ttl == 0 {
		plan.ttl = max(600*time.Millisecond, engine.leases.Capabilities().MinTTL)
	}

	fmt.Fprintf(out, "%d workers add 1 to a counter, %d times each: read, think, write back.\n", plan.workers, plan.rounds)
	fmt.Fprintf(out, "A lock lets one of them in at a time. It lasts %v without a renewal. Engine: %s.\n", plan.ttl, engine.name)

	fenced, err := tell(ctx, out, engine, plan, true)
	if err != nil {
		return err
	}
	unfenced, err := tell(ctx, out, engine, plan, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe lock was the same both times. What kept the count was the token, checked where the data is.\n")
	if fenced != 0 {
		return fmt.Errorf("%d updates were lost in spite of fencing", fenced)
	}
	if unfenced == 0 {
		return fmt.Errorf("the run without fencing lost nothing, so it showed nothing; is the machine very busy?")
	}
	return nil
}
