package ratefaults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/ratelimit"
)

// A process that calls.
const (
	roleCaller = "caller"

	ordersEnv = "RATEFAULTS_ORDERS"

	// pause is how long a caller rests after a decision that is not a yes of the engine.
	pause = 5 * time.Millisecond
)

// orders are what a process shall do, in a form that can be handed to it.
type orders struct {
	Store     stores.Store
	Limits    []ratelimit.Limit // each is of a limiter of its own, for the key of its name
	Callers   int               // goroutines for each limit
	Calls     int               // how many calls each makes; 0 is until it is told to stop
	More      int               // goroutines that join them when it is told so, and call until it is told to stop
	Timeout   time.Duration
	Share     float64
	Allowance *ratelimit.Allowance
	Ledger    string // the file to write it to
}

// runChild is the main of a child. It says that it is ready, calls when it is told to, and at the end says
// how many requests it has sent. It is told:
//
//	call  begins to call, and says when it has made as many calls as it was to make
//	more  has more of them call
//	look  says how many decisions the engine has made
//	stop  ends, in good order
func runChild() int {
	if err := call(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

func call() error {
	var o orders
	if err := json.Unmarshal([]byte(os.Getenv(ordersEnv)), &o); err != nil {
		return err
	}
	sent := &stores.Calls{}
	n, err := stores.Connect(o.Store, &stores.Route{Calls: sent})
	if err != nil {
		return err
	}
	b := &book{entries: map[entry]*entry{}}
	var limiters []*ratelimit.Limiter
	for _, limit := range o.Limits {
		l, err := limiter(n, limit, &ratelimit.Options{Timeout: o.Timeout, Share: o.Share, Allowance: o.Allowance})
		if err != nil {
			return err
		}
		limiters = append(limiters, l)
	}
	commands := child.Commands()
	fmt.Println("ready")

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var callers sync.WaitGroup
	begin := func(n, calls int) {
		for i, l := range limiters {
			for range n {
				callers.Go(func() { callFor(ctx, b, l, o.Limits[i].Name, calls) })
			}
		}
	}
	for command := range commands {
		switch command {
		case "call":
			begin(o.Callers, o.Calls)
			if o.Calls > 0 {
				callers.Wait()
				fmt.Println("made")
			}
		case "more":
			begin(o.More, 0)
		case "look":
			fmt.Println("engine", b.asked())
		case "stop":
			stop()
			callers.Wait()
			ctx := context.Background()
			for _, l := range limiters {
				err = errors.Join(err, l.Close(ctx))
			}
			if err := errors.Join(err, n.End(ctx), b.write(o.Ledger)); err != nil {
				return err
			}
			fmt.Println("sent", sent.Sent())
			return nil
		}
	}
	stop()
	callers.Wait()
	return errors.New("the test is gone")
}

// callFor calls for a key until ctx ends, or so many times. A caller that the engine lets through calls
// again at once. Every other call could be cancelled, and is not: those are made in another way.
func callFor(ctx context.Context, b *book, l *ratelimit.Limiter, key string, calls int) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := 0; (calls == 0 || i < calls) && ctx.Err() == nil; i++ {
		with := cancellable
		if i%2 == 0 {
			with = context.Background()
		}
		from := time.Now()
		d, err := l.Allow(with, key)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		b.note(key, &d, from, time.Now())
		if !d.Allowed || d.Source == ratelimit.FromFallback {
			time.Sleep(pause)
		}
	}
}

// limiter returns a silent limiter of one limit.
func limiter(n *stores.Node, l ratelimit.Limit, o *ratelimit.Options) (*ratelimit.Limiter, error) {
	p, err := ratelimit.NewPolicy(l)
	if err != nil {
		return nil, err
	}
	o.Hooks = &ratelimit.Hooks{}
	return ratelimit.New(n.Limits(), p, o)
}
