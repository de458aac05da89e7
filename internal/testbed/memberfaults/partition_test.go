package memberfaults

import (
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/lease"
)

// A watcher is cut off while members come, change and go. It shows what it knew, and the truth when it is
// back.
func TestWatcherCutOff(t *testing.T) {
	t.Parallel()
	for fault, rules := range partitions {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			stores.Every(t, func(t *testing.T, s stores.Store) {
				const ttl = 15 * time.Second
				n := newNetwork(t)
				w := watch(t, open(t, s, ttl, &stores.Route{Network: n}))
				p := open(t, s, ttl, nil)
				near := watch(t, p)
				stay, leave := join(t, p, "stays"), join(t, p, "leaves")
				w.settles(t, 2)

				n.Set(rules)
				defer n.Heal()
				cut := time.Now()
				suite.Must(t, leave.Leave(suite.Soon(t)))
				for i := range 5 {
					join(t, p, fmt.Sprint("new", i))
				}
				changed := member("stays")
				changed.Weight = 7
				suite.Must(t, stay.Update(suite.Soon(t), changed))
				near.sees(t, "the other watcher knows", cut, func(v *sighting) bool { return len(v.Members) == 6 && v.Members[5].Weight == 7 })
				time.Sleep(4 * time.Second) // an engine may bear a silence of 3 s without a doubt
				for _, v := range w.since(cut) {
					if len(v.Members) != 2 {
						t.Errorf("%d members shown while cut off: the fault has not hit", len(v.Members))
					}
				}
				n.Heal()
				healed := time.Now()
				truth := w.sees(t, "the watcher knows the truth", healed, func(v *sighting) bool {
					return len(v.Members) == 6 && v.Members[5].Weight == 7 && v.Stale == nil
				})
				d := truth.at.Sub(healed)
				if most := 2*lease.MaxNotice + slack; d > most {
					t.Errorf("knew the truth %v after it was healed, want %v", d, most)
				}
				t.Logf("knew the truth %v after it was healed; %d views", round(d), len(w.since(cut))-1)
			})
		})
	}
}

// Some members of a large group are cut off for longer than the TTL. They alone are shown as gone, and
// join again by themselves.
func TestMembersCutOff(t *testing.T) {
	t.Parallel()
	for fault, rules := range partitions {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			stores.Every(t, func(t *testing.T, s stores.Store) {
				const ttl = 3 * time.Second
				_, w := company(t, s, ttl)
				n := newNetwork(t)
				far := open(t, s, ttl, &stores.Route{Network: n})
				r := join(t, far, "far")
				w.settles(t, 4)
				n.Set(rules)
				defer n.Heal()
				cut := time.Now()
				gone := w.sees(t, "the member is gone", cut, func(v *sighting) bool { return !v.has("far") })
				if r.Valid(0) {
					t.Error("it believes that it is in the group")
				}
				n.Heal()
				healed := time.Now()
				back := w.sees(t, "the member is back", healed, func(v *sighting) bool { return v.has("far") })
				if d := back.at.Sub(healed); d > rejoins(s, ttl)+slack {
					t.Errorf("back after %v, want %v", d, rejoins(s, ttl))
				}
				if least, _ := fewest(w.since(cut)); least != 3 {
					t.Errorf("%d members shown at times, want 3", least)
				}
				t.Logf("gone after %v, back %v after it was healed", round(gone.at.Sub(cut)), round(back.at.Sub(healed)))
			})
		})
	}
}
