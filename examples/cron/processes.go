package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// processFleet runs replicas as processes of this program.
func processFleet(ctx context.Context, f *fleet) error {
	e, err := openEngine(f.plan.backend)
	if err != nil {
		return err
	}
	look, cancel := context.WithTimeout(ctx, longest)
	err = e.check(look) // what is wrong is told here, and not by each replica
	cancel()
	soon(ctx, e.close)
	if err != nil {
		return err
	}
	f.launch = func(n int) (*member, error) { return f.process(ctx, n) }
	return f.show(ctx)
}

// process starts this program as replica n, and hears what it says. The end of ctx asks it to stop.
func (f *fleet) process(ctx context.Context, n int) (*member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := f.plan
	args := []string{"-replica", strconv.Itoa(n), "-name", p.name, "-backend", p.backend, "-db", p.db, "-ttl", p.ttl.String(),
		"-end", strconv.FormatInt(p.end.Unix(), 10)}
	for _, j := range p.jobs {
		args = append(args, "-job", j.String())
	}
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 4 * longest                           // and then it is killed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for this process, which then asks them to stop
	cmd.Stderr = os.Stderr
	says, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}
	var killed atomic.Bool
	m := &member{stop: stop, done: make(chan struct{}), kill: func() bool {
		f.hear(n, "is killed in the middle of a run")
		killed.Store(true)
		_ = cmd.Process.Kill() // fails when it has ended, as it may
		return true
	}}
	go func() {
		defer close(m.done)
		defer stop()
		for lines := bufio.NewScanner(says); lines.Scan(); {
			f.hear(n, lines.Text())
		}
		if err := cmd.Wait(); err != nil && !killed.Load() && !errors.Is(err, context.Canceled) {
			f.fail(n, err)
		}
	}()
	return m, nil
}

// replicaProcess is a replica with a process of its own. What it says is read by the one that started it.
func replicaProcess(ctx context.Context, out io.Writer, p *plan) error {
	ledger, err := openLedger(ctx, p.db)
	if err != nil {
		return err
	}
	defer ledger.close()
	e, err := openEngine(p.backend)
	if err != nil {
		return err
	}
	defer soon(ctx, e.close)
	var mu sync.Mutex
	r := &replica{number: p.replica, plan: p, ledger: ledger, says: func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}}
	return r.serve(ctx, e.leases)
}
