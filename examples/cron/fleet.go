package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// How a replica begins to say that it begins a run, and that it has recorded one.
const begins, ran = "begins ", "ran "

// fleet is the replicas, and what is done to them.
type fleet struct {
	plan   *plan
	start  time.Time
	launch func(n int) (*member, error)
	ran    func(n int) // replica n has recorded a tick; may be nil

	members []*member
	busy    chan int      // who begins a run, when somebody asks,
	struck  chan struct{} // and goes on after that
	failed  chan error

	mu  sync.Mutex
	out io.Writer
}

// member is a replica, as seen from outside.
type member struct {
	kill func() (gone bool) // ends it at once, or freezes it
	stop func()             // asks it to stop
	done chan struct{}
}

func newFleet(out io.Writer, p *plan, start time.Time) *fleet {
	return &fleet{plan: p, start: start, members: make([]*member, p.replicas), busy: make(chan int), struck: make(chan struct{}), failed: make(chan error, 1), out: out}
}

// hear takes what replica n says.
func (f *fleet) hear(n int, line string) {
	if strings.HasPrefix(line, begins) {
		select {
		case f.busy <- n:
			<-f.struck
		default:
		}
		return
	}
	if f.ran != nil && strings.HasPrefix(line, ran) {
		f.ran(n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.out, "   %5.2fs  replica %d %s\n", time.Since(f.start).Seconds(), n, line)
}

// fail ends the show.
func (f *fleet) fail(n int, err error) {
	select {
	case f.failed <- fmt.Errorf("replica %d: %w", n, err):
	default: // the first one tells
	}
}

// show lets the replicas run until the schedule is over, and does harm to the leader. All have ended
// when it returns.
func (f *fleet) show(ctx context.Context) (err error) {
	defer func() {
		for _, m := range f.members {
			if m != nil {
				m.stop()
			}
		}
		for _, m := range f.members {
			if m != nil {
				<-m.done
			}
		}
		select {
		case failure := <-f.failed:
			err = errors.Join(err, failure)
		default:
		}
	}()
	for n := range f.members {
		if f.members[n], err = f.launch(n + 1); err != nil {
			return err
		}
	}
	length := f.plan.end.Sub(f.start)
	for i, blow := range f.plan.harm {
		wait(ctx, time.Until(f.start.Add(length*time.Duration(i+1)/time.Duration(len(f.plan.harm)+1))))
		if err := f.strike(ctx, blow); err != nil {
			return err
		}
	}
	late := time.After(time.Until(f.plan.end) + f.plan.ttl + time.Minute)
	for _, m := range f.members {
		select {
		case <-m.done:
		case err := <-f.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("the schedule is over, and the replicas have not ended")
		}
	}
	return nil
}

// strike meets the leader in the middle of a run. One that is gone after that is started anew.
func (f *fleet) strike(ctx context.Context, blow string) (err error) {
	var n int
	select {
	case n = <-f.busy:
	case err := <-f.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(f.plan.end)):
		return errors.New("too little has happened to show anything")
	}
	m, gone := f.members[n-1], true
	if blow == "stop" {
		f.hear(n, "is asked to stop")
		m.stop()
	} else {
		gone = m.kill()
	}
	f.struck <- struct{}{}
	if gone {
		<-m.done
		f.members[n-1], err = f.launch(n)
	}
	return err
}
