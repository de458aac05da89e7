package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
)

// process starts this program as a replica, and shows what it says.
func (s *show) process(id string) (*handle, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := s.plan
	ctx, stop := context.WithCancel(context.WithoutCancel(s.ctx)) // the client ends first
	cmd := exec.CommandContext(ctx, self, "-replica", id, "-backend", p.backend, "-group", p.group, "-ttl", p.ttl.String(), "-linger", p.linger.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = p.linger + 4*longest                  // and then it is killed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for this process, which then asks them to stop
	cmd.Stderr = os.Stderr
	words, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}
	var killed atomic.Bool
	h := &handle{stop: stop, done: make(chan struct{}), kill: func() {
		killed.Store(true)
		_ = cmd.Process.Kill() // fails when it has ended, which is told below
	}}
	go func() {
		defer close(h.done)
		defer stop()
		for lines := bufio.NewScanner(words); lines.Scan(); {
			s.say("%s %s", id, lines.Text())
		}
		if err := cmd.Wait(); err != nil && !killed.Load() && !errors.Is(err, context.Canceled) {
			s.stop(fmt.Errorf("%s: %w", id, err))
		}
	}()
	return h, nil
}

// replicaProcess is a replica with a process of its own. What it says is shown by the one that started it.
func replicaProcess(ctx context.Context, out io.Writer, p *plan) error {
	e, err := openEngine(p.backend)
	if err != nil {
		return err
	}
	p.ttl = cmp.Or(p.ttl, e.ttl())
	says := tellTo(out)
	defer soon(ctx, says, e.close)
	straight := func(h http.Handler) http.Handler { return h }
	r := &replica{id: p.replica, plan: p, through: straight, says: says}
	return r.serve(ctx, e.leases)
}
