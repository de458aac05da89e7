package electionfaults

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/lease"
)

// observer joins a candidate that only looks on.
func observer(t testing.TB, s stores.Store, id string, r *stores.Route) *candidate {
	t.Helper()
	return join(t, s, election.Candidate{ID: id}, election.Options{TTL: leastTTL}, r)
}

// Candidates take turns as fast as they can. Every observer is told every term and every vacancy.
func TestObserversAreToldEveryTerm(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		needs(t, s, "observers", announces)
		const candidates, observers, each = 4, 3, 25
		var witnesses []*witness
		for i := range observers {
			witnesses = append(witnesses, watch(t, observer(t, s, fmt.Sprint("observer", i), nil)))
		}
		var mu sync.Mutex
		var terms []election.Term
		leaders := map[election.Term]string{}
		var running group
		began := time.Now()
		for i := range candidates {
			p := join(t, s, election.Candidate{ID: fmt.Sprint(i)}, election.Options{TTL: 15 * time.Second}, nil)
			running.Go(func() {
				for range each {
					l, err := p.Campaign(suite.Soon(t))
					if err == nil {
						mu.Lock()
						terms = append(terms, l.Term())
						leaders[l.Term()] = p.id
						mu.Unlock()
						err = resign(l)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		running.wait(t)
		took := time.Since(began)
		if !slices.IsSorted(terms) || len(terms) != candidates*each {
			t.Errorf("terms %v", terms)
		}
		for i, w := range witnesses {
			w.learns(t, terms[len(terms)-1], false)
			told, gaps := w.check(t)
			if gaps > 0 || !slices.Equal(told, terms) {
				t.Errorf("observer %d was told of %d terms of %d, with %d gaps", i, len(told), len(terms), gaps)
			}
			for _, s := range w.told() {
				if s.Kind == election.Elected && s.Leader.ID != leaders[s.Leader.Term] {
					t.Errorf("observer %d was told that %q leads term %v, which %q led", i, s.Leader.ID, s.Leader.Term, leaders[s.Leader.Term])
				}
			}
		}
		t.Logf("%d terms in %v, told to %d observers", len(terms), round(took), observers)
	})
}

// An observer that was cut off says that it may have missed something, and then knows the truth.
func TestObserverCutOff(t *testing.T) {
	t.Parallel()
	for fault, rules := range partitions {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			stores.Every(t, func(t *testing.T, s stores.Store) {
				needs(t, s, "observers", announces)
				n := newNetwork(t)
				w := watch(t, observer(t, s, "cut off", &stores.Route{Network: n}))
				near := watch(t, observer(t, s, "near", nil))
				c := newChronicle(t)
				list := start(t, s, c, 3, election.Options{TTL: 15 * time.Second})
				first := c.led(t)
				w.learns(t, first.term, true)
				waiting(t, list[0], 2)

				n.Set(rules)
				defer n.Heal()
				cut := time.Now()
				for range 2 {
					handOver(t, c, list)
				}
				last := c.led(t)
				near.learns(t, last.term, true)
				time.Sleep(4 * time.Second) // an engine may bear a silence of 3 s without a doubt
				doubt := "not while it was cut off"
				if at := w.doubted(cut); !at.IsZero() {
					doubt = fmt.Sprint("after ", round(at.Sub(cut)))
				}
				if got := w.last(); got.Leader.Term != first.term {
					t.Errorf("told of term %v while cut off: the fault has not hit", got.Leader.Term)
				}
				n.Heal()
				healed := time.Now()
				learnt := w.learns(t, last.term, true)
				if d := learnt.at.Sub(healed); d > 2*lease.MaxNotice+slack {
					t.Errorf("knew the truth %v after it was healed, want at most %v", d, 2*lease.MaxNotice)
				}
				// What was held back may come late and in full; then there is no gap.
				terms, gaps := w.check(t)
				if gaps == 0 && len(terms) != 3 {
					t.Errorf("told of terms %v, without a gap", terms)
				}
				if _, gaps := near.check(t); gaps > 0 {
					t.Errorf("%d gaps of an observer that was not cut off", gaps)
				}
				t.Logf("in doubt: %s; knew the truth %v after it was healed; %d gaps, %d terms",
					doubt, round(learnt.at.Sub(healed)), gaps, len(terms))
			})
		})
	}
}

// The leader dies and nobody else stands: the observer is told that nobody leads.
func TestObserverIsToldOfADeath(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		needs(t, s, "observers", announces)
		const ttl = leastTTL
		p := observer(t, s, "observer", nil)
		late := p.Leases().Capabilities().ExpiryLate
		w := watch(t, p)
		leader, term := startLeader(t, s, ttl, 0)
		w.learns(t, term, true)
		leader.Signal(os.Kill)
		killed := time.Now()
		vacant := w.learns(t, term, false)
		d := vacant.at.Sub(killed)
		if most := ttl + late + lease.MaxNotice + slack; d < ttl/2 || d > most {
			t.Errorf("told after %v, want at most %v", d, most)
		}
		w.check(t)
		t.Logf("told %v after the death, with a TTL of %v", round(d), ttl)
	})
}

// The primary is killed under an observer: it knows the truth of the heir.
func TestObserverOverAFailover(t *testing.T) {
	t.Parallel()
	servers := testbed.StartSentinel(t, nil)
	s := stores.OfSentinel(servers, 0)
	c := newChronicle(t)
	w := watch(t, observer(t, s, "observer", nil))
	list := start(t, s, c, 3, election.Options{TTL: failoverTTL})
	first := c.led(t)
	w.learns(t, first.term, true)
	waiting(t, list[0], 2)
	suite.Must(t, servers.WaitSynced(suite.Soon(t)))
	old, err := servers.Primary()
	suite.Must(t, err)
	old.Kill()
	killed := time.Now()
	_, err = servers.WaitPrimary(suite.Soon(t), old)
	suite.Must(t, err)
	elected := time.Now()
	handOver(t, c, list)
	next := c.led(t)
	learnt := w.learns(t, next.term, true)
	if d := learnt.at.Sub(elected); d > 2*lease.MaxNotice+slack {
		t.Errorf("knew the truth %v after the fail-over", d)
	}
	terms, gaps := w.check(t)
	if gaps == 0 {
		t.Error("no gap: nothing has failed")
	}
	c.check(t, increasing)
	t.Logf("another primary after %v; %d gaps, terms %v; knew the truth %v after that",
		round(elected.Sub(killed)), gaps, terms, round(learnt.at.Sub(elected)))
}
