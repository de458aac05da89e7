package electionfaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// A candidate in a process of its own.
const (
	roleCandidate = "candidate"

	storeEnv  = "ELECTIONFAULTS_STORE"
	ttlEnv    = "ELECTIONFAULTS_TTL"
	windUpEnv = "ELECTIONFAULTS_WINDUP"
)

// runChild is the main of a child. It says when it leads and when its term has ended, and does what it
// is told meanwhile:
//
//	look   says whether it believes in its term
//	write  writes to the data under its term
func runChild() int {
	if err := stand(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

func stand() error {
	s, err := stores.Decode(os.Getenv(storeEnv))
	if err != nil {
		return err
	}
	ttl, err := time.ParseDuration(os.Getenv(ttlEnv))
	if err != nil {
		return err
	}
	windUp, err := time.ParseDuration(os.Getenv(windUpEnv))
	if err != nil {
		return err
	}
	n, err := stores.Connect(s, nil)
	if err != nil {
		return err
	}
	e, err := election.New(n.Leases(), name, election.Candidate{ID: "child"}, &election.Options{TTL: ttl, Hooks: &election.Hooks{}})
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	commands := child.Commands()
	err = e.Run(ctx, func(ctx context.Context, term election.Term) error {
		fmt.Println("leads", term)
		over := ctx.Done()
		for {
			select {
			case <-over:
				fmt.Println("ended", causeOf(context.Cause(ctx)))
				time.Sleep(windUp)
				if causeOf(context.Cause(ctx)) == election.Resigned {
					fmt.Println("drained")
					return nil
				}
				over = nil // a child that was paused is asked about it
			case command, ok := <-commands:
				switch {
				case !ok:
					return errors.New("the test is gone")
				case command == "look":
					fmt.Println("alive", ctx.Err() == nil)
				case command == "write":
					err := write(context.Background(), n, term, "the child's")
					fmt.Println("fenced", errors.Is(err, fence.ErrFenced), err)
				}
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		return err
	}
	ctx = context.Background()
	return errors.Join(e.Close(ctx), n.End(ctx))
}

// startLeader starts a child and returns when it leads.
func startLeader(t *testing.T, s stores.Store, ttl, windUp time.Duration) (*child.Child, election.Term) {
	t.Helper()
	c := child.Start(t, roleCandidate, storeEnv+"="+s.Encode(), ttlEnv+"="+ttl.String(), windUpEnv+"="+windUp.String())
	term, err := strconv.ParseUint(c.Says("leads"), 10, 64)
	suite.Must(t, err)
	return c, election.Term(term)
}
