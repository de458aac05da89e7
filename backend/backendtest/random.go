package backendtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

const randomSteps = 1500

// actor is one party's present wish for one key.
type actor struct {
	claim lease.Claim
	id    int // names the claim in the model
}

// player performs random operations on the engine and on the model.
type player struct {
	*rig
	rng    *rand.Rand
	keys   map[string]*modelKey
	names  []string
	actors map[string][]*actor
	ids    int
	log    []string
}

// seed is that of a random list of operations: BACKENDTEST_SEED repeats one.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("BACKENDTEST_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("BACKENDTEST_SEED: %v", err)
		}
	}
	t.Logf("BACKENDTEST_SEED=%d", n)
	return n
}

// randomAgreement compares the engine with the model after every step. Nothing lapses: all TTLs
// are far longer than the case.
func randomAgreement(r *rig) {
	p := &player{
		rig: r, rng: rand.New(rand.NewPCG(seed(r.T), 0)),
		keys: map[string]*modelKey{"lock": {limit: 1}}, names: []string{"lock"}, actors: map[string][]*actor{},
	}
	if r.caps.Limits {
		p.keys["semaphore"], p.keys["readers"] = &modelKey{limit: 3}, &modelKey{limit: 5}
		p.names = append(p.names, "semaphore", "readers")
	}
	for _, key := range p.names {
		for range 7 {
			p.actors[key] = append(p.actors[key], p.renewed(key))
		}
	}
	stop := time.Now().Add(5 * time.Second)
	for range randomSteps {
		if time.Now().After(stop) {
			break
		}
		p.step()
	}
	for _, key := range p.names {
		p.compare(key)
	}
}

// renewed is an actor with a fresh wish.
func (p *player) renewed(key string) *actor {
	c := p.claim(key)
	c.TTL, c.Limit = p.life(300*time.Second), p.keys[key].limit
	switch {
	case key == "lock" && p.caps.Priority:
		c.Priority = p.rng.IntN(3)
	case key == "semaphore":
		c.Weight = 1 + p.rng.Int64N(c.Limit)
	case key == "readers" && p.rng.IntN(3) == 0:
		c.Weight = c.Limit
	}
	p.ids++
	return &actor{c, p.ids}
}

func (p *player) step() {
	key := p.names[p.rng.IntN(len(p.names))]
	m := p.keys[key]
	i := p.rng.IntN(len(p.actors[key]))
	a := p.actors[key][i]
	switch n := p.rng.IntN(100); {
	case n < 40:
		p.doAcquire(m, a, p.rng.IntN(4) != 0)
	case n < 60:
		p.doRenew(m, a, p.rng.IntN(2) == 0)
	case n < 85:
		p.doRelease(m, a)
		p.actors[key][i] = p.renewed(key)
	case n < 92:
		p.doRevoke(m, a)
	default:
		p.compare(key)
	}
}

func (p *player) note(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf("%3d  ", len(p.log))+fmt.Sprintf(format, args...))
}

// differ reports a disagreement with the last steps before it.
func (p *player) differ(got, want any) {
	p.Helper()
	tail := p.log[max(0, len(p.log)-25):]
	for _, line := range tail {
		p.Log(line)
	}
	p.broken("the engine agrees with the model of the protocol", got, want)
}

func (p *player) doAcquire(m *modelKey, a *actor, queue bool) {
	c := a.claim
	c.Queue = queue
	p.note("%s: %d acquires weight %d priority %d queue %v", c.Key, a.id, c.Weight, c.Priority, queue)
	want := m.acquire(modelClaim{id: a.id, weight: c.Weight, priority: c.Priority}, queue)
	got := p.acquire(c).Answer
	for give := p.deadline(); got.Status == lease.Queued && want == lease.Granted && time.Now().Before(give); p.pause() {
		got = p.acquire(c).Answer // a grant may take a moment to get to an engine's client
	}
	p.agree(m, a, got, want)
}

func (p *player) doRenew(m *modelKey, a *actor, waiting bool) {
	p.note("%s: %d renews, waiting %v", a.claim.Key, a.id, waiting)
	want := m.status(a.id)
	got := p.renew(renewal(a.claim, waiting))[0]
	for give := p.deadline(); lagging(got.Status, want) && time.Now().Before(give); p.pause() {
		got = p.renew(renewal(a.claim, waiting))[0]
	}
	p.agree(m, a, got, want)
}

// lagging says that an engine's client may not have heard of a grant or of a forced end yet.
func lagging(got, want lease.Status) bool {
	return got == lease.Queued && want == lease.Granted || got == lease.Granted && want == lease.Unknown
}

// agree compares an answer, and its token with those of all other grants of the key.
func (p *player) agree(m *modelKey, a *actor, got lease.Answer, want lease.Status) {
	p.Helper()
	if got.Status != want || want == lease.Queued && got.Rank != m.rank(a.id) {
		p.differ(show(got), fmt.Sprintf("%v, rank %d", want, m.rank(a.id)))
	}
	if want == lease.Granted {
		if problem := m.learn(a.id, got.Token); problem != "" {
			p.differ(problem, "tokens in the order of the grants")
		}
	}
}

// doRelease ends the actor's attempt: it must not be used again.
func (p *player) doRelease(m *modelKey, a *actor) {
	rel := lease.Release{Key: a.claim.Key, Attempt: a.claim.Attempt, Uncertain: p.rng.IntN(4) == 0}
	was, to := m.status(a.id), 0
	if p.caps.Transfer && was == lease.Granted && m.limit == 1 && p.rng.IntN(3) == 0 {
		other := p.actors[a.claim.Key][p.rng.IntN(len(p.actors[a.claim.Key]))]
		rel.To, to = other.claim.Attempt, other.id
	}
	p.note("%s: %d releases to %d", a.claim.Key, a.id, to)
	m.release(a.id, to)
	switch was {
	case lease.Granted:
		p.releaseAs(rel, lease.WasHeld)
	case lease.Queued:
		p.releaseAs(rel, lease.WasWaiting)
	default:
		p.releaseAs(rel, lease.WasNothing, lease.WasLapsed)
	}
}

func (p *player) doRevoke(m *modelKey, a *actor) {
	token := m.token(a.id)
	if token == 0 {
		return
	}
	p.note("%s: %d is forced out", a.claim.Key, a.id)
	want := m.status(a.id) == lease.Granted // else the token is that of a seat which has ended
	if want {
		m.release(a.id, 0)
	}
	p.revoke("Revoke finds a seat by its token", lease.Revocation{Key: a.claim.Key, Token: token, Force: true}, want)
}

// compare reads the whole key.
func (p *player) compare(key string) {
	p.Helper()
	m := p.keys[key]
	p.note("%s: inspect", key)
	seats, queue := p.attempts(key, m.seats), p.attempts(key, m.queue)
	slices.Sort(seats)
	want := fmt.Sprintf("seats %v queue %v", seats, queue)
	var got string
	for give := p.deadline(); ; p.pause() {
		s := p.inspect(key)
		seated, waiting := parties(s.Holders), parties(s.Waiters)
		slices.Sort(seated)
		got = fmt.Sprintf("seats %v queue %v", seated, waiting)
		if got == want && s.Waiting >= len(waiting) {
			break
		}
		if time.Now().After(give) {
			p.differ(got, want)
		}
	}
}

func parties(list []lease.Party) []lease.Attempt {
	var all []lease.Attempt
	for _, party := range list {
		all = append(all, party.Attempt)
	}
	return all
}

func (p *player) attempts(key string, claims []modelClaim) []lease.Attempt {
	var all []lease.Attempt
	for _, c := range claims {
		for _, a := range p.actors[key] {
			if a.id == c.id {
				all = append(all, a.claim.Attempt)
			}
		}
	}
	return all
}
