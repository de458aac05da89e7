// Orders is an order service whose workers share a stock under a fenced lock, while workers are
// killed and stopped in the middle of their work.
//
// A worker takes an order, reads the stock of the item, thinks, and writes the rest back together
// with the order. The lock lets one worker of an item do that at a time. A worker that is stopped for
// longer than its lock lasts does not know that another one has taken over, and writes what it had
// worked out before. The guard of the database refuses that write, because a later token has been
// seen. With -fencing=false nothing refuses it, and the ledger does not add up.
//
//	go run ./examples/orders
//	go run ./examples/orders -fencing=false
//	go run ./examples/orders -locks redis://127.0.0.1:6379 -db postgres://user@127.0.0.1/shop
//
// With locks in memory the workers are goroutines, and what happens to them is played. With locks on a
// server they are processes, which get SIGKILL and SIGSTOP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan is what the flags say.
type plan struct {
	locks   string
	db      string
	workers int
	items   int
	ttl     time.Duration
	harm    int
	fencing bool
	worker  int // number of this worker process, 0 for the one that starts them
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	p, err := parse(out, args)
	if err != nil {
		return err
	}
	if p.worker > 0 {
		return workerProcess(ctx, out, p)
	}
	if p.db == "sqlite" {
		dir, err := os.MkdirTemp("", "orders-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // what is left is in the directory for temporary files
		p.db = "sqlite://" + dir + "/shop.db"
	}
	shop, err := openShop(ctx, p)
	if err != nil {
		return err
	}
	defer shop.close()
	if err := shop.stock(ctx, p.items); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d workers sell %d items. A lock lasts %v. Locks: %s. Database: %s. Fencing: %t.\n",
		p.workers, p.items, p.ttl, p.locks, shop.dialect, p.fencing)
	// The workers work until enough harm was done to them.
	var done harm
	if p.locks == "memory" {
		done, err = playHarm(ctx, p, shop)
	} else {
		done, err = doHarm(ctx, p)
	}
	if err != nil {
		return err
	}
	return settle(ctx, out, p, shop, done)
}

// settle looks whether the ledger adds up.
func settle(ctx context.Context, out io.Writer, p *plan, shop *shop, done harm) error {
	l, err := shop.ledger(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d workers were stopped, %d were killed; %d late writes were refused.\n", done.stopped, done.killed, done.refused)
	fmt.Fprintf(out, "The stock was %d, orders for %d are in the book, %d are left: ", l.before, l.sold, l.left)
	wrong := l.before - l.sold - l.left
	if wrong == 0 {
		fmt.Fprintln(out, "it adds up.")
	} else {
		fmt.Fprintf(out, "it does not add up, by %d.\n", wrong)
	}
	switch {
	case l.sold == 0 || done.stopped == 0 || done.killed == 0:
		return errors.New("too little has happened to show anything")
	case p.fencing && wrong != 0:
		return fmt.Errorf("the ledger is wrong in spite of fencing")
	case p.fencing && done.refused == 0:
		return errors.New("no late write was refused, so the run showed nothing; is the machine very busy?")
	case !p.fencing && wrong == 0:
		return errors.New("the run without fencing lost nothing, so it showed nothing; is the machine very busy?")
	}
	return nil
}

func parse(out io.Writer, args []string) (*plan, error) {
	p := &plan{}
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&p.locks, "locks", "memory", "`engine` of the locks: memory, redis://host:port or etcd://host:port,…")
	flags.StringVar(&p.db, "db", "sqlite", "`database`: sqlite, or postgres://user:password@host/name")
	flags.IntVar(&p.workers, "workers", 4, "number of workers, 2 to 100")
	flags.IntVar(&p.items, "items", 2, "number of items, 1 to 1000")
	flags.DurationVar(&p.ttl, "ttl", 0, "how long a lock lasts, 100ms to 1m (default 500ms, 2s on etcd)")
	flags.IntVar(&p.harm, "harm", 3, "how many workers are stopped, and how many are killed, 1 to 100")
	flags.BoolVar(&p.fencing, "fencing", true, "have the database refuse late writes")
	flags.IntVar(&p.worker, "worker", 0, "be this `worker`; used by the program itself")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.workers < 2 || p.workers > 100 || p.items < 1 || p.items > 1000 || p.harm < 1 || p.harm > 100 ||
		p.ttl != 0 && p.ttl < 100*time.Millisecond || p.ttl > time.Minute {
		return nil, errors.New("-workers must be 2 to 100, -items 1 to 1000, -harm 1 to 100, -ttl 100ms to 1m")
	}
	if p.ttl == 0 {
		p.ttl = 500 * time.Millisecond
		if hasScheme(p.locks, "etcd") {
			p.ttl = 2 * time.Second
		}
	}
	return p, nil
}
