package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	databaseReadyPoll = 10 * time.Millisecond
	databaseReadyWait = 60 * time.Second // recovery included
)

// database is one run of a database server on a loopback port: what [Postgres] and [MariaDB] have
// in common. All methods may be called from any goroutine.
type database struct {
	name    string
	program string
	port    int
	dir     string
	args    []string
	user    *syscall.Credential
	end     syscall.Signal // asks the server to end without waiting for its clients
	ready   func(d *database, proc *process, logged int) bool

	mu   sync.Mutex // held while the server starts or ends
	proc *process   // nil before the first start
}

// startDatabase launches a server that ends with the test. Its directory is not one of the test's,
// which other users cannot enter.
func startDatabase[T interface {
	Stop()
	logTail() []byte
}](tb testing.TB, name string, launch func(dir string) (T, error)) T {
	tb.Helper()
	dir, err := os.MkdirTemp("", "testbed-"+name+"-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	d, err := launch(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		d.Stop()
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", name, d.logTail())
		}
	})
	return d
}

// serverUser returns whom a server runs as that refuses to be root: the first of the names that
// exists. Nil, for this user, if this is not root.
func serverUser(names ...string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("no user to run a server as: none of %q exists", names)
}

// as adds another user to the attributes of a process.
func as(user *syscall.Credential, attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Credential = user
	return attr
}

// findProgram returns the first of the paths and patterns that exists.
func findProgram(name string, patterns ...string) (string, error) {
	if program, err := exec.LookPath(name); err == nil {
		return program, nil
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(pattern, name)) // the patterns are good
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("no %s on the PATH", name)
}

// prepare makes the directory that the server may use and lets it fill it with an empty database.
func (d *database) prepare(ctx context.Context, program string, args ...string) error {
	if err := os.RemoveAll(d.data()); err != nil { // of a try before
		return err
	}
	if d.user != nil {
		if err := os.Chown(d.dir, int(d.user.Uid), int(d.user.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = d.dir
	if d.user != nil {
		cmd.SysProcAttr = as(d.user, diesWithParent())
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

func (d *database) data() string { return filepath.Join(d.dir, "data") }

// Addr returns host and port of the server. They stay the same over restarts.
func (d *database) Addr() string { return loopback(d.port) }

// Kill ends the server at once (SIGKILL), all its processes, and returns when they are gone. A
// server that is down stays down.
func (d *database) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil || !d.proc.running() {
		return
	}
	// A parent that is stopped starts no more children, and does not notice how they end.
	_ = d.proc.pause() // fails only when it has ended already
	workers := children(d.proc.pid())
	signalAll(workers, syscall.SIGKILL)
	d.proc.kill()
	for slices.ContainsFunc(workers, alive) {
		time.Sleep(pausePoll)
	}
}

// Stop lets the server end in good order, without waiting for its clients, and returns when it is
// gone. A server that is down stays down.
func (d *database) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopLocked()
}

func (d *database) stopLocked() {
	if d.proc == nil || !d.proc.running() {
		return
	}
	signalAll(children(d.proc.pid()), syscall.SIGCONT)
	_ = d.proc.cmd.Process.Signal(d.end) // fails only when it has ended already
	_ = d.proc.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-d.proc.done:
	case <-time.After(stopGrace):
		d.proc.kill()
	}
}

// Restart starts the server again, on the same port and with the same files, and returns when it
// answers. A server that still runs is stopped first.
func (d *database) Restart() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopLocked()
	return d.startLocked(context.Background())
}

// Pause freezes the server (SIGSTOP), all its processes: connections are accepted and nothing is
// answered until Resume.
func (d *database) Pause() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.proc.pause(); err != nil {
		return err
	}
	workers := children(d.proc.pid())
	signalAll(workers, syscall.SIGSTOP)
	runs := func(pid int) bool { return alive(pid) && !paused(pid) }
	for end := time.Now().Add(pauseWait); slices.ContainsFunc(workers, runs); time.Sleep(pausePoll) {
		if time.Now().After(end) {
			return errors.New("pause: a process did not stop")
		}
	}
	return nil
}

// Resume lets a paused server go on (SIGCONT).
func (d *database) Resume() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	signalAll(children(d.proc.pid()), syscall.SIGCONT)
	return d.proc.resume()
}

func (d *database) start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.startLocked(ctx)
}

// startLocked starts the process and waits until it serves. On failure no process is left.
func (d *database) startLocked(ctx context.Context) error {
	logged := len(d.log())
	proc, err := startProcessAs(d.user, d.program, d.args, d.logFile())
	if err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	d.proc = proc
	ctx, cancel := context.WithTimeout(ctx, databaseReadyWait)
	defer cancel()
	if err := d.waitReady(ctx, proc, logged); err != nil {
		proc.kill()
		if bytes.Contains(bytes.ToLower(d.log()[logged:]), []byte("address already in use")) {
			err = errPortTaken
		}
		return fmt.Errorf("start %s on %s: %w\n%s", d.name, d.Addr(), err, d.logTail())
	}
	return nil
}

func (d *database) waitReady(ctx context.Context, proc *process, logged int) error {
	for !d.ready(d, proc, logged) {
		select {
		case <-proc.done:
			return fmt.Errorf("it ended: %w", proc.err)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(databaseReadyPoll):
		}
	}
	return nil
}

func (d *database) logFile() string { return filepath.Join(d.dir, "server.log") }

func (d *database) log() []byte {
	log, _ := os.ReadFile(d.logFile()) // no file yet: nothing
	return log
}

// logTail returns the last lines of the log, for the message of a failure.
func (d *database) logTail() []byte {
	const most = 4 << 10
	log := d.log()
	return log[max(0, len(log)-most):]
}

// signalAll signals processes that are not ours to wait for; those that have ended are passed over.
func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// alive reports whether there is a process of that number which has not ended.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }
