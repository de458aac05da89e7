package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process starts this program as an upstream or a gateway, and shows what it says.
func (s *show) process(id string) *handle {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.ctx)) // the load ends first
	h := &handle{ready: make(chan string, 1), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		defer stop()
		if err := s.attend(ctx, id, h.ready); err != nil {
			s.stop(fmt.Errorf("%s: %w", id, err))
		}
	}()
	return h
}

// attend runs the process until ctx ends. It gets SIGTERM then, and is waited for.
func (s *show) attend(ctx context.Context, id string, ready chan<- string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := s.plan
	args := []string{"-backend", p.backend, "-group", p.group, "-linger", p.linger.String(), "-upstream", id}
	if id[0] == 'g' {
		args = append(args[:len(args)-2], "-gateway", anyPort)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = p.linger + 4*longest                  // and then it is killed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for this process, which then asks them to stop
	cmd.Stderr = os.Stderr
	words, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(words); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), listenPrefix); ok {
			ready <- addr
			continue
		}
		s.says("   %s %s", id, lines.Text())
	}
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
