package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// child is a worker process.
type child struct {
	cmd   *exec.Cmd
	works chan struct{} // it is in the middle of an order; filled by what it says
	done  chan struct{}
	err   error
}

// doHarm runs workers as processes, and kills and stops them while they are in the middle of an order.
func doHarm(ctx context.Context, p *plan) (harm, error) {
	leases, end, err := openLocks(ctx, p.locks) // a wrong address is told here, and not by each worker
	if err != nil {
		return harm{}, err
	}
	look, cancel := context.WithTimeout(ctx, 5*time.Second)
	_, err = leases.Inspect(look, "item/0")
	cancel()
	end()
	if err != nil {
		return harm{}, err
	}
	var refused atomic.Int64
	children := make([]*child, p.workers)
	defer func() {
		for _, c := range children {
			if c != nil {
				_ = c.cmd.Process.Kill() // fails when it has ended, as it should
				<-c.done
			}
		}
	}()
	for n := range children {
		if children[n], err = launch(p, n+1, &refused); err != nil {
			return harm{}, err
		}
	}
	var done harm
	for i := range p.harm {
		victim := children[i%p.workers]
		if err := victim.middle(ctx); err != nil {
			return done, err
		}
		if err := victim.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return done, err
		}
		done.stopped++
		wait(ctx, 3*p.ttl)
		if err := victim.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return done, err
		}
		wait(ctx, p.ttl)

		n := (i + 1) % p.workers
		if err := children[n].middle(ctx); err != nil {
			return done, err
		}
		_ = children[n].cmd.Process.Kill() // it may have ended by itself, which the next line tells
		<-children[n].done
		done.killed++
		if children[n], err = launch(p, n+1, &refused); err != nil {
			return done, err
		}
		wait(ctx, 2*p.ttl) // its lock ends
	}
	var failures []error
	for i, c := range children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended, which is told below
		<-c.done
		failures = append(failures, c.err)
		children[i] = nil
	}
	done.refused = int(refused.Load())
	return done, errors.Join(append(failures, ctx.Err())...)
}

// launch starts this program as a worker.
func launch(p *plan, n int, refused *atomic.Int64) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-worker", strconv.Itoa(n), "-locks", p.locks, "-db", p.db, "-items", strconv.Itoa(p.items),
		"-ttl", p.ttl.String(), "-fencing="+strconv.FormatBool(p.fencing))
	cmd.Stderr = os.Stderr
	says, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, works: make(chan struct{}, 1), done: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			select {
			case <-c.works:
			default:
			}
			switch lines.Text() {
			case "works":
				c.works <- struct{}{}
			case "refused":
				refused.Add(1)
			}
		}
	})
	go func() {
		defer close(c.done)
		reading.Wait()
		if err := cmd.Wait(); err != nil {
			c.err = fmt.Errorf("worker %d: %w", n, err)
		}
	}()
	return c, nil
}

// middle returns when the worker has just begun to work on an order.
func (c *child) middle(ctx context.Context) error {
	select { // what it said before is old
	case <-c.works:
	default:
	}
	select {
	case <-c.works:
		return nil
	case <-c.done:
		return fmt.Errorf("a worker has ended: %w", c.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return errors.New("a worker gets no orders")
	}
}
