package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	redisProgram = "redis-server"
	redisMajor   = 7 // the oldest major version that is supported

	readyPoll  = 5 * time.Millisecond
	readyProbe = 500 * time.Millisecond
	readyWait  = 20 * time.Second // loading included
)

// RedisOptions are the settings of a server. Nil means the defaults.
type RedisOptions struct {
	// AppendOnly keeps the data in an append-only file, so that it survives Kill and Restart.
	// Without it the server forgets everything when it ends.
	AppendOnly bool

	// Dir holds the server's files and log. It must exist and is not removed. Default: a
	// temporary directory of the test.
	Dir string

	// Args are further arguments for redis-server, for example "--maxmemory", "100mb". They win
	// over the settings made here.
	Args []string
}

// Redis is one redis-server on a loopback port. It is made by [StartRedis] or [LaunchRedis]; the
// zero value is not usable. All methods may be called from any goroutine.
type Redis struct {
	program string
	port    int
	dir     string
	config  string // a file that the server itself rewrites, or ""
	args    []string
	greet   [][]string // commands that are sent whenever the server has started

	mu   sync.Mutex // held while the server starts or ends
	proc *process   // nil before the first start
}

// StartRedis starts a server that ends with the test, and returns when it answers. Without a
// redis-server on the PATH it skips the test, or fails it where CONCORD_REQUIRE names redis. A
// test that fails logs the end of the server's log.
func StartRedis(tb testing.TB, opts *RedisOptions) *Redis {
	tb.Helper()
	if _, err := FindRedis(); err != nil {
		missing(tb, "redis", err)
	}
	dir := ""
	if opts != nil {
		dir = opts.Dir
	}
	if dir == "" {
		dir = tb.TempDir()
	}
	r, err := LaunchRedis(context.Background(), dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.Stop()
		if tb.Failed() {
			tb.Logf("log of redis-server at %s:\n%s", r.Addr(), r.logTail())
		}
	})
	return r
}

// LaunchRedis starts a server outside a test, with its files in dir, and returns when it answers.
// The end of ctx ends the wait for it, not the server: the caller must call Stop. Options.Dir is
// not read.
func LaunchRedis(ctx context.Context, dir string, opts *RedisOptions) (*Redis, error) {
	if opts == nil {
		opts = &RedisOptions{}
	}
	program, err := FindRedis()
	if err != nil {
		return nil, err
	}
	return onFreePorts(1, nil, func(ports []int) (*Redis, error) {
		r := &Redis{
			program: program,
			port:    ports[0],
			dir:     dir,
			args:    append(persistence(opts.AppendOnly), opts.Args...),
		}
		err := r.start(ctx)
		return r, err
	})
}

// persistence returns the arguments of a server that keeps its data in an append-only file, or
// not at all.
func persistence(appendOnly bool) []string {
	if appendOnly {
		return []string{"--save", "", "--appendonly", "yes"}
	}
	return []string{"--save", "", "--appendonly", "no"}
}

// FindRedis returns the path of redis-server. The error says what is missing when there is none
// on the PATH, or one too old.
func FindRedis() (string, error) {
	program, err := exec.LookPath(redisProgram)
	if err != nil {
		return "", fmt.Errorf("no %s on the PATH", redisProgram)
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", program, err)
	}
	_, version, _ := strings.Cut(string(out), "v=") // Redis server v=7.0.15 sha=…
	version, _, _ = strings.Cut(version, " ")
	if err := CheckRedisVersion(version); err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return program, nil
}

// CheckRedisVersion returns an error for a version, such as "7.0.15", that is not supported.
func CheckRedisVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < redisMajor {
		return fmt.Errorf("redis %d or newer is needed, this is version %q", redisMajor, version)
	}
	return nil
}

// Addr returns host and port of the server. They stay the same over restarts.
func (r *Redis) Addr() string { return loopback(r.port) }

// Command sends one command to the server; see the function [Command].
func (r *Redis) Command(args ...string) (string, error) { return Command(r.Addr(), args...) }

// Info returns one section of the server's INFO; see the function [Info].
func (r *Redis) Info(section string) (map[string]string, error) { return Info(r.Addr(), section) }

// Kill ends the server at once (SIGKILL) and returns when it is gone. A server that is down stays
// down.
func (r *Redis) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc != nil {
		r.proc.kill()
	}
}

// Stop lets the server end in good order (SIGTERM) and returns when it is gone. A server that is
// down stays down.
func (r *Redis) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc != nil {
		r.proc.stop()
	}
}

// Restart starts the server again, on the same port and with the same files, and returns when it
// answers. A server that still runs is stopped first.
func (r *Redis) Restart() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proc.stop()
	return r.startLocked(context.Background())
}

// Pause freezes the server (SIGSTOP): it accepts connections and answers nothing until Resume.
func (r *Redis) Pause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc.pause()
}

// Resume lets a paused server go on (SIGCONT).
func (r *Redis) Resume() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc.resume()
}

// runs reports whether the server is up; a paused one is.
func (r *Redis) runs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc != nil && r.proc.running()
}

func (r *Redis) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.startLocked(ctx)
}

// startLocked starts the process and waits until it answers. On failure no process is left.
func (r *Redis) startLocked(ctx context.Context) error {
	args := append([]string{"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir}, r.args...)
	if r.config != "" {
		args = append([]string{r.config}, args...)
	}
	logged := r.logSize()
	proc, err := startProcess(r.program, args, r.logFile())
	if err != nil {
		return fmt.Errorf("start %s: %w", redisProgram, err)
	}
	r.proc = proc
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if err := r.waitReady(ctx, proc); err != nil {
		proc.kill()
		if log := r.logFrom(logged); bytes.Contains(log, []byte("Address already in use")) {
			err = errPortTaken
		}
		return fmt.Errorf("start %s on %s: %w\n%s", redisProgram, r.Addr(), err, r.logTail())
	}
	return nil
}

// waitReady returns when this very process, and not another server on the same port, has loaded
// its data and answers.
func (r *Redis) waitReady(ctx context.Context, proc *process) error {
	for {
		info, err := r.probe(ctx, []string{"INFO", "server"})
		if err == nil && parseInfo(info.text)["process_id"] == strconv.Itoa(proc.pid()) {
			// An error while it loads.
			if _, err = r.probe(ctx, append([][]string{{"PING"}}, r.greet...)...); err == nil {
				return nil
			}
		}
		select {
		case <-proc.done:
			return fmt.Errorf("it ended: %w", proc.err)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(readyPoll):
		}
	}
}

// probe is exchange with this server, for at most readyProbe.
func (r *Redis) probe(ctx context.Context, commands ...[]string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, readyProbe)
	defer cancel()
	return exchange(ctx, r.Addr(), commands...)
}

func (r *Redis) logFile() string { return filepath.Join(r.dir, "redis.log") }

func (r *Redis) logSize() int {
	log, _ := os.ReadFile(r.logFile()) // no file yet: size 0
	return len(log)
}

func (r *Redis) logFrom(offset int) []byte {
	log, _ := os.ReadFile(r.logFile())
	return log[min(offset, len(log)):]
}

// logTail returns the last lines of the log, for the message of a failure.
func (r *Redis) logTail() []byte {
	const most = 4 << 10
	log := r.logFrom(0)
	return log[max(0, len(log)-most):]
}
