package memberfaults

import (
	"testing"

	"github.com/concord-go/concord/membership"
)

func TestCheckerRefusesDoctoredViews(t *testing.T) {
	of := func(ids ...string) (list []membership.Member) {
		for _, id := range ids {
			list = append(list, member(id))
		}
		return list
	}
	heavy := member("a")
	heavy.Weight = 2
	first := sighting{View: membership.View{Members: of("a", "b"), Joined: of("a", "b")}}
	for name, c := range map[string]struct {
		then  membership.View
		sound bool
	}{
		"nothing":           {membership.View{Members: of("a", "b")}, true},
		"one joins":         {membership.View{Members: of("a", "b", "c"), Joined: of("c")}, true},
		"one leaves":        {membership.View{Members: of("b"), Left: of("a")}, true},
		"one is new":        {membership.View{Members: []membership.Member{heavy}, Updated: []membership.Member{heavy}, Left: of("b")}, true},
		"nobody told":       {membership.View{Members: of("a", "b", "c")}, false},
		"gone, not told":    {membership.View{Members: of("a")}, false},
		"changed, not told": {membership.View{Members: append([]membership.Member{heavy}, of("b")...)}, false},
		"joins twice":       {membership.View{Members: of("a", "b"), Joined: of("b")}, false},
		"left before":       {membership.View{Members: of("a", "b"), Left: of("c")}, false},
		"new before":        {membership.View{Members: of("a", "b", "c"), Updated: of("c")}, false},
		"out of order":      {membership.View{Members: of("b", "a")}, false},
		"shown twice":       {membership.View{Members: of("a", "a", "b")}, false},
	} {
		if found := disorder([]sighting{first, {View: c.then}}); (len(found) == 0) != c.sound {
			t.Errorf("%s: %q", name, found)
		}
	}
}
