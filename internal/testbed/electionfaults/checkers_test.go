package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
)

func TestCheckerRefusesDoctoredChronicles(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	resigned := &election.LostError{Cause: election.Resigned}
	led := func(term election.Term, began, seen, drained int, cause error) reign {
		return reign{id: "x", term: term, began: at(began), seen: at(seen), drained: at(drained), cause: cause}
	}
	for name, c := range map[string]struct {
		reigns []reign
		writes []election.Term
		holds  promise // the largest that does; -1 = none
	}{
		"sound":            {[]reign{led(1, 0, 9, 12, resigned), led(2, 12, 20, 20, resigned)}, []election.Term{1, 1, 2}, orderly},
		"work goes on":     {[]reign{led(1, 0, 9, 15, resigned), led(2, 12, 20, 20, resigned)}, []election.Term{1, 2}, exclusive},
		"lost, work on":    {[]reign{led(1, 0, 9, 15, nil), led(2, 12, 20, 20, nil)}, []election.Term{1, 2}, orderly},
		"two at once":      {[]reign{led(1, 0, 13, 15, nil), led(2, 12, 20, 20, nil)}, []election.Term{1, 2}, increasing},
		"the older begins": {[]reign{led(2, 0, 13, 15, nil), led(1, 12, 20, 20, nil)}, []election.Term{2}, increasing},
		"terms go back":    {[]reign{led(2, 0, 9, 10, nil), led(1, 12, 20, 20, nil)}, []election.Term{2}, -1},
		"a term twice":     {[]reign{led(1, 0, 9, 10, nil), led(1, 12, 20, 20, nil)}, []election.Term{1}, -1},
		"a late write":     {[]reign{led(1, 0, 9, 10, nil), led(2, 12, 20, 20, nil)}, []election.Term{1, 2, 1}, -1},
		"nobody":           {nil, nil, -1},
	} {
		for p := increasing; p <= orderly; p++ {
			if found := p.broken(c.reigns, c.writes); (len(found) == 0) != (p <= c.holds) {
				t.Errorf("%s, promise %d: %q", name, p, found)
			}
		}
	}
}

func TestCheckerRefusesDoctoredObservations(t *testing.T) {
	told := func(kind election.EventKind, term election.Term) sighting {
		return sighting{Event: election.Event{Kind: kind, Leader: election.Leader{Term: term}}}
	}
	const elected, vacant, gap = election.Elected, election.Vacant, election.Gap
	for name, c := range map[string]struct {
		list  []sighting
		sound bool
	}{
		"sound":                {[]sighting{told(vacant, 0), told(elected, 1), told(election.Proclaimed, 1), told(vacant, 1), told(elected, 2)}, true},
		"a gap":                {[]sighting{told(elected, 1), told(gap, 0), told(elected, 4)}, true},
		"no vacancy":           {[]sighting{told(elected, 1), told(elected, 2)}, false},
		"back":                 {[]sighting{told(elected, 2), told(vacant, 2), told(elected, 1)}, false},
		"again":                {[]sighting{told(elected, 2), told(vacant, 2), told(elected, 2)}, false},
		"back in a gap":        {[]sighting{told(elected, 2), told(gap, 0), told(elected, 1)}, false},
		"an older one is over": {[]sighting{told(elected, 2), told(vacant, 1)}, false},
	} {
		if found := disorder(c.list); (len(found) == 0) != c.sound {
			t.Errorf("%s: %q", name, found)
		}
	}
}
