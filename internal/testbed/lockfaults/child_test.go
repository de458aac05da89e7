package lockfaults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// A child is a real process: this test binary again, told by its environment what to be. It says
// what it sees on its standard output, one line each, and ends when its standard input does, so
// that it does not outlive the test.
const (
	roleEnv = "LOCKFAULTS_ROLE"
	addrEnv = "LOCKFAULTS_ADDR"
	ttlEnv  = "LOCKFAULTS_TTL"

	roleHolder     = "holder"      // holds the key and does what it is told, line by line
	roleEtcdHolder = "etcd holder" // the same, with the endpoints of an etcd cluster as address
	roleCounter    = "counter"     // adds to a counter under the lock, again and again

	childKey     = "process" // what children lock
	childData    = "data"    // what they write to
	childCounts  = 300       // additions of a counter
	counterReady = "ready"
)

// runChild is the main of a child.
func runChild(role string) int {
	ttl, err := time.ParseDuration(os.Getenv(ttlEnv))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	run, err := roleOf(role, os.Getenv(addrEnv), &lock.Options{TTL: ttl})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	if err := run(lines); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// roleOf connects a child to its server and returns what it does there.
func roleOf(role, addr string, o *lock.Options) (func(commands <-chan string) error, error) {
	if role == roleEtcdHolder {
		return etcdHolder(strings.Split(addr, ","), o)
	}
	p, err := connect(redis.NewClient(recommended(addr)), o)
	if err != nil {
		return nil, err
	}
	if role == roleCounter {
		return func(commands <-chan string) error { return runCounter(p, commands) }, nil
	}
	return holder{
		locks: p.locks,
		guarded: func(token fence.Token) error {
			return p.be.Guard().Set(context.Background(), childData, token, "child, guarded", 0)
		},
		bare: func() error { return p.client.Set(context.Background(), childData, "child, bare", 0).Err() },
		end:  p.end,
	}.run, nil
}

// holder is a child that holds the key, and its ways to write to the data.
type holder struct {
	locks   *lock.Locker
	guarded func(fence.Token) error
	bare    func() error
	end     func(context.Context) error
}

// run holds the key until the child is terminated. Commands:
//
//	look     says whether it believes in its lease, and when that is over, why
//	guarded  writes to the data under its token
//	bare     writes to the data without one
func (h holder) run(commands <-chan string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	l, err := h.locks.Acquire(ctx, childKey)
	if err != nil {
		return err
	}
	fmt.Println("held", l.Token())
	for {
		select {
		case <-ctx.Done():
			err := l.Release(ctx)
			fmt.Println("released", err)
			return h.end(context.Background())
		case command, ok := <-commands:
			if !ok {
				return errors.New("the test is gone")
			}
			switch command {
			case "look":
				valid := l.Valid(0)
				fmt.Println("valid", valid)
				if valid {
					continue
				}
				<-l.Context().Done()
				var lost *lock.LostError
				errors.As(context.Cause(l.Context()), &lost)
				fmt.Println("lost", lost.Cause)
			case "guarded":
				err := h.guarded(l.Token())
				fmt.Println("fenced", errors.Is(err, fence.ErrFenced), err)
			case "bare":
				fmt.Println("written", h.bare())
			}
		}
	}
}

// runCounter waits for the word to begin and then makes its additions, unguarded: the lock alone
// keeps them apart.
func runCounter(p *process, commands <-chan string) error {
	fmt.Println(counterReady)
	<-commands
	ctx := context.Background()
	for range childCounts {
		err := p.locks.Do(ctx, childKey, func(ctx context.Context, l *lock.Lease) error {
			fmt.Println("held", l.Token())
			n, err := p.client.Get(ctx, childData).Int()
			if err != nil {
				return err
			}
			return p.client.Set(ctx, childData, n+1, 0).Err()
		})
		if err != nil {
			return err
		}
	}
	return p.end(ctx)
}

// child is a child as its test sees it.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it says; closed at its end
	ended chan struct{}
	err   error // of its end
}

// startChild starts a child, which is killed at the end of the test.
func startChild(t *testing.T, role, addr string, ttl time.Duration) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, 2*childCounts), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), roleEnv+"="+role, addrEnv+"="+addr, ttlEnv+"="+ttl.String())
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			c.lines <- in.Text()
		}
		close(c.lines)
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // an error means that it has ended
		for range c.lines {
		}
		<-c.ended
	})
	return c
}

// says returns the rest of the next line, which must begin with word.
func (c *child) says(word string) string {
	c.t.Helper()
	select {
	case line := <-c.lines:
		first, rest, _ := strings.Cut(line, " ")
		if first != word {
			c.t.Fatalf("the child says %q, want %s", line, word)
		}
		return rest
	case <-time.After(eventually):
		c.t.Fatalf("the child does not say %s", word)
		return ""
	}
}

// holds returns the token of the lease that the child says it has got.
func (c *child) holds() fence.Token {
	c.t.Helper()
	n, err := strconv.ParseUint(c.says("held"), 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return fence.Token(n)
}

func (c *child) tell(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// end returns when the child has ended by itself or by a signal.
func (c *child) end() error {
	c.t.Helper()
	select {
	case <-c.ended:
		return c.err
	case <-time.After(eventually):
		c.t.Fatal("the child does not end")
		return nil
	}
}
