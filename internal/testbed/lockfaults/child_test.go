package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// What a child is, and where it locks.
const (
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
	if err := run(child.Commands()); err != nil {
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
	p, err := connect(redis.NewClient(recommended.Redis(addr)), o)
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

// startChild starts a child, which is killed at the end of the test.
func startChild(t *testing.T, role, addr string, ttl time.Duration) *child.Child {
	t.Helper()
	return child.Start(t, role, addrEnv+"="+addr, ttlEnv+"="+ttl.String())
}

// holds returns the token of the lease that a child says it has got.
func holds(t *testing.T, c *child.Child) fence.Token {
	t.Helper()
	n, err := strconv.ParseUint(c.Says("held"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fence.Token(n)
}
