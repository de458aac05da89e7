package election_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

// Two replicas stand for election. The work of the leader ends, and the other one takes over.
func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)

	var last election.Term
	replica := func(id string) error {
		el, err := election.New(be.Leases(), "billing", election.Candidate{ID: id}, &election.Options{Hooks: &election.Hooks{}})
		if err != nil {
			return err
		}
		defer el.Close(ctx)
		return el.Run(ctx, func(ctx context.Context, term election.Term) error {
			fmt.Println(id, "leads, a later term:", term > last)
			last = term
			return nil // hands over
		})
	}
	if err := errors.Join(replica("pod-1"), replica("pod-2")); err != nil {
		log.Fatal(err)
	}
	// Output:
	// pod-1 leads, a later term: true
	// pod-2 leads, a later term: true
}

// Whoever wants to know who leads needs no candidacy.
func ExampleElection_Observe() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	el, err := election.New(be.Leases(), "billing", election.Candidate{ID: "pod-1", Addr: "10.0.0.7:80"}, &election.Options{Hooks: &election.Hooks{}})
	if err != nil {
		log.Fatal(err)
	}
	defer el.Close(ctx)
	term, err := el.Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range el.Observe(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %q\n", event.Kind, event.Leader.Addr)
		if event.Kind == election.Vacant {
			break
		}
		_ = term.Resign(ctx)
	}
	_, err = el.Leader(ctx)
	fmt.Println(errors.Is(err, election.ErrNoLeader))
	// Output:
	// elected "10.0.0.7:80"
	// vacant ""
	// true
}
