package memberfaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/membership"
)

// A member in a process of its own.
const (
	roleMember = "member"

	storeEnv = "MEMBERFAULTS_STORE"
	ttlEnv   = "MEMBERFAULTS_TTL"
	idEnv    = "MEMBERFAULTS_ID"
)

// runChild is the main of a child. It says when it has joined, when it was lost, and when it stays away
// for good. It leaves at SIGTERM.
func runChild() int {
	if err := stay(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

func stay() error {
	s, err := stores.Decode(os.Getenv(storeEnv))
	if err != nil {
		return err
	}
	ttl, err := time.ParseDuration(os.Getenv(ttlEnv))
	if err != nil {
		return err
	}
	n, err := stores.Connect(s, nil)
	if err != nil {
		return err
	}
	g, err := membership.New(n.Leases(), name, &membership.Options{TTL: ttl, Hooks: &membership.Hooks{
		Joined: func(i membership.Info) { fmt.Println("joined", i.Again) },
		Ended: func(i membership.Info) {
			if !i.Final {
				fmt.Println("lost", causeOf(i.Err))
			}
		},
	}})
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	r, err := g.Join(ctx, member(os.Getenv(idEnv)))
	if err != nil {
		return err
	}
	commands := child.Commands()
	away := r.Context().Done()
	for leave := false; !leave; {
		select {
		case <-ctx.Done():
			leave = true
		case <-away:
			fmt.Println("away", errors.Is(context.Cause(r.Context()), membership.ErrDuplicate))
			away = nil
		case _, ok := <-commands:
			if !ok {
				return errors.New("the test is gone")
			}
		}
	}
	ctx = context.Background()
	return errors.Join(r.Leave(ctx), g.Close(ctx), n.End(ctx))
}

// startMember starts a child and returns when it has joined.
func startMember(t *testing.T, s stores.Store, id string, ttl time.Duration) *child.Child {
	t.Helper()
	c := child.Start(t, roleMember, storeEnv+"="+s.Encode(), ttlEnv+"="+ttl.String(), idEnv+"="+id)
	c.Says("joined")
	return c
}
