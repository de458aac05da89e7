package membership_test

import (
	"context"
	"fmt"
	"log"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/membership"
)

// A replica joins, somebody looks on, and the replica leaves.
func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	group, err := membership.New(be.Leases(), "api", &membership.Options{Hooks: &membership.Hooks{}})
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close(ctx)

	me, err := group.Join(ctx, membership.Member{ID: "pod-7", Addr: "10.0.0.7:80", Zone: "z1", Weight: 1})
	if err != nil {
		log.Fatal(err)
	}
	for view, err := range group.Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range view.Joined {
			fmt.Println("there is", m.ID, "at", m.Addr)
		}
		for _, m := range view.Left {
			fmt.Println("gone is", m.ID)
		}
		if len(view.Members) == 0 {
			break
		}
		_ = me.Leave(ctx)
	}
	// Output:
	// there is pod-7 at 10.0.0.7:80
	// gone is pod-7
}

// A client spreads its calls over the members, here in turn, and tries elsewhere if one fails.
func ExamplePicker() {
	ctx := context.Background()
	picker, err := membership.NewPicker(membership.RoundRobin)
	if err != nil {
		log.Fatal(err)
	}
	// go picker.Follow(ctx, group) in a client
	picker.Set([]membership.Member{
		{ID: "a", Addr: "10.0.0.1:80", Weight: 2},
		{ID: "b", Addr: "10.0.0.2:80", Weight: 1},
	})
	calls := map[string]int{}
	for range 300 {
		pick, err := picker.Pick(ctx)
		if err != nil {
			log.Fatal(err)
		}
		calls[pick.Member.ID]++ // call pick.Member.Addr
		pick.Done()
	}
	other, err := picker.Pick(ctx, "a")
	fmt.Println(calls["a"] > calls["b"], other.Member.ID, err)
	// Output: true b <nil>
}
