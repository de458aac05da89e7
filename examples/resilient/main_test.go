package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
)

// shown is what a run of the program has shown.
type shown struct {
	t     *testing.T
	sides []*side
	text  string
}

// inVirtualTime runs the program.
func inVirtualTime(t *testing.T, see func(s *shown), args ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p, err := parse(&out, args)
		if err != nil {
			t.Fatal(err)
		}
		n := &network{listeners: map[string]*listener{}}
		p.listen, p.dial = n.listen, n.dial
		sides, err := perform(t.Context(), &out, p)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		s := &shown{t, sides, out.String()}
		for _, side := range sides {
			s.sane(side)
		}
		see(s)
		if t.Failed() {
			t.Log(s.text)
		}
	})
}

// sane wants every call to have ended in one way, and the server to have seen what was sent.
func (s *shown) sane(side *side) {
	s.t.Helper()
	var sum counts
	for _, c := range side.tally.phases {
		sum.calls += c.calls
		sum.good += c.good
		sum.failed += c.failed
		sum.rejected += c.rejected
		sum.sent += c.sent
	}
	if sum.calls == 0 || sum.good+sum.failed+sum.rejected != sum.calls {
		s.t.Errorf("%s: of %d calls %d good, %d failed, %d rejected", side.name, sum.calls, sum.good, sum.failed, sum.rejected)
	}
	if came := side.server.came; came > sum.sent || came < sum.sent*98/100 { // some are cancelled on their way
		s.t.Errorf("%s: %d attempts sent, %d requests came", side.name, sum.sent, came)
	}
}

// in returns what happened to a client in a phase.
func (s *shown) in(client, phase string) *counts {
	s.t.Helper()
	for _, side := range s.sides {
		for i, ph := range phases(&plan{}) {
			if side.name == client && ph.name == phase && i < len(side.tally.phases) {
				return &side.tally.phases[i]
			}
		}
	}
	s.t.Fatalf("no phase %q of %q:\n%s", phase, client, s.text)
	return nil
}

// TestSideBySide wants the guarded client to do well where the plain one does not, and no worse elsewhere.
func TestSideBySide(t *testing.T) {
	inVirtualTime(t, func(s *shown) {
		for _, client := range []string{"plain", "guarded"} {
			// A call may begin with the last moment of a phase, and be sent with the first of the next.
			if c := s.in(client, "healthy"); c.sent > c.calls || c.sent < c.calls-1 || c.failed > 0 || c.good < 290 {
				t.Errorf("%s, healthy: %d of %d good, %d sent", client, c.good, c.calls, c.sent)
			}
			if c := s.in(client, "errors"); c.failed > 0 || c.sent <= c.calls {
				t.Errorf("%s, errors: %d failed, %d sent for %d calls", client, c.failed, c.sent, c.calls)
			}
		}
		if p := s.in("plain", "slow tail").p99(); p < slowness {
			t.Errorf("the tail of the plain client is %v", p)
		}
		if c := s.in("guarded", "slow tail"); c.hedged == 0 || c.p99() >= slowness/2 {
			t.Errorf("the tail of the guarded client is %v, with %d hedges", c.p99(), c.hedged)
		}
		if c := s.in("plain", "outage"); c.perCall() < 2 {
			t.Errorf("in the outage the plain client sent %.2f for each call", c.perCall())
		}
		if c := s.in("guarded", "outage"); c.perCall() > 0.5 || c.rejected < c.calls/2 {
			t.Errorf("in the outage the guarded client sent %.2f for each call, and %d of %d were rejected", c.perCall(), c.rejected, c.calls)
		}
		if c := s.in("plain", "recovery"); c.good > 0 {
			t.Errorf("the server of the plain client has recovered: %d good", c.good)
		}
		if c := s.in("guarded", "recovery"); c.good < c.calls/2 || s.sides[1].tally.state != breaker.Closed {
			t.Errorf("after the outage %d of %d are good, and the breaker is %v", c.good, c.calls, s.sides[1].tally.state)
		}
		for _, part := range []string{"== outage", " 15.0s", "open\n", "recovery    guarded "} {
			if !strings.Contains(s.text, part) {
				t.Errorf("no %q", part)
			}
		}
	})
}

// TestOneAtATime wants each guard to do its part without the others, and none of it to happen without it.
func TestOneAtATime(t *testing.T) {
	for _, c := range []struct {
		name                   string
		budget, breaker, hedge bool
	}{
		{"none", false, false, false},
		{"budget", true, false, false},
		{"breaker", false, true, false},
		{"hedge", false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			flag := func(name string, on bool) string {
				if on {
					return "-" + name
				}
				return "-" + name + "=false"
			}
			inVirtualTime(t, func(s *shown) {
				outage, recovery, tail := s.in("guarded", "outage"), s.in("guarded", "recovery"), s.in("guarded", "slow tail")
				// What the budget holds and its floor has saved is spent once.
				if bounded := outage.sent <= outage.calls+25; bounded != c.budget && !c.breaker {
					t.Errorf("budget: %d sent for %d calls", outage.sent, outage.calls)
				}
				if rejects := outage.rejected > outage.calls/4; rejects != c.breaker {
					t.Errorf("breaker: %d of %d calls rejected", outage.rejected, outage.calls)
				}
				if recovers := recovery.good > 0; recovers != c.breaker {
					t.Errorf("breaker: %d of %d calls good after the outage", recovery.good, recovery.calls)
				}
				if short := tail.p99() < slowness/2; short != c.hedge {
					t.Errorf("hedges: the tail is %v", tail.p99())
				}
				if len(s.sides) != 1 {
					t.Errorf("%d clients", len(s.sides))
				}
			}, "-alone", flag("budget", c.budget), flag("breaker", c.breaker), flag("hedge", c.hedge))
		})
	}
}

// TestServerQueue wants requests to be answered in their order and at the server's pace, after what it was stuck.
func TestServerQueue(t *testing.T) {
	s, now := &server{each: 10 * time.Millisecond}, time.Now()
	expect := func(at, want time.Duration, status int) {
		t.Helper()
		if got, code := s.take(now.Add(at)); got.Sub(now) != want || code != status {
			t.Errorf("a request after %v is answered with %d after %v, want %d after %v", at, code, got.Sub(now), status, want)
		}
	}
	expect(0, 10*time.Millisecond, http.StatusOK)
	expect(0, 20*time.Millisecond, http.StatusOK)
	expect(50*time.Millisecond, 60*time.Millisecond, http.StatusOK)
	s.begin(now.Add(60*time.Millisecond), trouble{stuck: time.Second, fail: 5})
	expect(60*time.Millisecond, 1070*time.Millisecond, http.StatusOK)
	expect(60*time.Millisecond, 1080*time.Millisecond, http.StatusServiceUnavailable)
	s.begin(now.Add(60*time.Millisecond), trouble{slow: 3})
	expect(60*time.Millisecond, 1090*time.Millisecond+slowness, http.StatusOK)
	expect(60*time.Millisecond, 1100*time.Millisecond, http.StatusOK)
}

// TestLoopback plays the program as it is.
func TestLoopback(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-each", "250ms"}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, part := range []string{"150. Plain: 3 attempts. Guarded: 3 attempts, budget, breaker, hedges.", "== recovery", "recovery    guarded "} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q:\n%s", part, out.String())
		}
	}
}

// TestInterrupted wants the table of what has happened until then.
func TestInterrupted(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, &out, []string{"-each", "1m"}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "healthy   plain ") || strings.Contains(text, "== slow tail") {
		t.Error(text)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-rate", "9"}, {"-rate", "501"}, {"-each", "1ms"}, {"-each", "2m"}, {"-no-such"}, {"-budget=maybe"}} {
		if err := run(t.Context(), &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
