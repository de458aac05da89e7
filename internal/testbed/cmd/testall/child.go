package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// childGrace is how long a child may take to end after SIGTERM before its pipes are closed and
// its whole group is killed.
const childGrace = 5 * time.Second

// child runs a program with its standard output sent to out. The program leads a process
// group of its own, which is ended as a whole when ctx ends and which leaves nothing behind when
// the program returns: go test does not pass a signal on to the test binaries it runs.
func child(ctx context.Context, out io.Writer, name string, args ...string) error {
	return runGroup(ctx, exec.CommandContext(ctx, name, args...), out)
}

// goTool runs the go command in a module. The module is built by its own go.mod, as a user gets
// it, and not by the workspace.
func goTool(ctx context.Context, dir string, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return runGroup(ctx, cmd, out)
}

func runGroup(ctx context.Context, cmd *exec.Cmd, out io.Writer) error {
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = childGrace
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH when all are gone, as they should be
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}
