package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be a replica process.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-replica") {
		main()
		return
	}
	os.Exit(m.Run())
}

// server is the URL of an engine. Without one the test is skipped, or fails where it is required.
func server(t *testing.T, name string) string {
	t.Helper()
	env := map[string]string{"redis": "REDIS_ADDR", "sentinel": "REDIS_SENTINEL_ADDRS", "cluster": "REDIS_CLUSTER_ADDRS", "etcd": "ETCD_ENDPOINTS",
		"postgres": "POSTGRES_URL"}[name]
	addrs := os.Getenv(env)
	if addrs == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), name) {
			t.Fatalf("%s is not set", env)
		}
		t.Skipf("cron: %s is not set", env)
	}
	switch name {
	case "sentinel":
		return "redis+sentinel://" + addrs + "/" + cmp.Or(os.Getenv("REDIS_SENTINEL_MASTER"), "concord")
	case "cluster":
		return "redis+cluster://" + addrs
	case "postgres":
		return addrs
	}
	return name + "://" + addrs
}

// shown is what a run of the program has shown.
type shown struct {
	account
	text  string
	again int
	took  time.Duration
}

func (s *shown) count(part string) int { return strings.Count(s.text, part) }

// show runs the program. No tick may be lost or recorded twice, and each is accounted for.
func show(t *testing.T, args ...string) *shown {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	start := time.Now()
	err := run(ctx, &out, append(args, "-name", t.Name())) // tests share a server
	s := &shown{text: out.String(), took: time.Since(start)}
	if err != nil {
		t.Fatalf("%v\n%s", err, s.text)
	}
	_, end, _ := strings.Cut(s.text, " lasts ")
	i := strings.Index(end, " ticks due")
	if i < 0 {
		t.Fatalf("no account:\n%s", s.text)
	}
	end = end[strings.LastIndex(end[:i], "\n")+1:]
	a := &s.account
	_, err = fmt.Sscanf(end, "%d ticks due: %d recorded once, %d twice, %d skipped by policy, %d dropped by policy, %d lost.\n"+
		"Runs that were begun again, because the first was not recorded: %d.", &a.due, &a.once, &a.twice, &a.skipped, &a.dropped, &a.lost, &s.again)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.text)
	}
	if a.due == 0 || a.twice+a.lost != 0 || a.once+a.skipped+a.dropped != a.due {
		t.Errorf("the account is wrong:\n%s", s.text)
	}
	return s
}

const (
	bill  = "bill catchup:100 * * * * * *"
	clean = "clean skip * * * * * *"
)

// In memory a frozen leader is met in the middle of the run of a tick, which the next one runs again,
// and its own record is refused.
func TestFrozenLeader(t *testing.T) {
	t.Parallel() // they mostly wait
	s := show(t, "-for", "6s", "-ttl", "600ms", "-harm", "kill,kill", "-job", bill)
	if s.once != s.due || s.again < 2 || s.count("is frozen") != 2 || s.count("is refused") < 2 || s.count("has lost its term") < 2 {
		t.Errorf("%d of %d recorded, %d begun again:\n%s", s.once, s.due, s.again, s.text)
	}
}

// Nobody leads for two thirds of the TTL at the least, in which two more ticks of each job are due. The
// latest is run.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s := show(t, "-for", "6s", "-ttl", "3s", "-harm", "kill", "-job", clean, "-job", "bill catchup:1 * * * * * *")
	if s.skipped == 0 || s.dropped == 0 || s.count("of clean before") == 0 || s.count("of bill before") == 0 {
		t.Errorf("%d skipped, %d dropped:\n%s", s.skipped, s.dropped, s.text)
	}
}

// handOver asks leaders to stop in the middle of a run. Their terms would last for a minute, so nothing
// but the hand-over lets the others go on, and no tick is run again or skipped.
func handOver(t *testing.T, args ...string) {
	t.Parallel()
	s := show(t, append(args, "-for", "6s", "-ttl", "1m", "-harm", "stop,stop", "-job", bill, "-job", "clean skip */3 * * * * *")...)
	if s.once != s.due || s.again != 0 || s.count("is asked to stop") != 2 || s.count("hands over") != 2 || s.took > 40*time.Second {
		t.Errorf("%d of %d recorded, %d begun again, in %v:\n%s", s.once, s.due, s.again, s.took, s.text)
	}
}

// killed kills a leader that is a process, with SIGKILL, and asks one to stop, with SIGTERM.
func killed(t *testing.T, args ...string) {
	t.Parallel()
	s := show(t, append(args, "-for", "8s", "-harm", "kill,stop", "-job", bill)...)
	if s.once != s.due || s.count("is killed") != 1 || s.count("hands over") != 1 || s.count(" leads") < 3 {
		t.Errorf("%d of %d recorded:\n%s", s.once, s.due, s.text)
	}
}

func TestHandOver(t *testing.T) { handOver(t) }

func TestServers(t *testing.T) {
	for _, name := range []string{"redis", "sentinel", "cluster", "etcd"} {
		t.Run(name, func(t *testing.T) { killed(t, "-backend", server(t, name)) })
	}
}

func TestHandOverOfProcesses(t *testing.T) {
	for _, name := range []string{"redis", "etcd"} {
		t.Run(name, func(t *testing.T) { handOver(t, "-backend", server(t, name)) })
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	s := show(t, "-db", server(t, "postgres"), "-for", "6s", "-ttl", "1s", "-job", bill)
	if s.once != s.due || s.count("is refused") != 1 || s.count("hands over") != 1 {
		t.Errorf("%d of %d recorded:\n%s", s.once, s.due, s.text)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-backend", "mysql://x"}, {"-backend", "redis://"}, {"-backend", "etcd"}, {"-backend", "redis+sentinel://127.0.0.1:1"},
		{"-backend", "redis://127.0.0.1:1"}, {"-backend", "redis+sentinel://127.0.0.1:1/m"}, {"-backend", "redis+cluster://127.0.0.1:1,127.0.0.1:2"},
		{"-backend", "etcd://127.0.0.1:1"}, {"-db", "mysql://x"}, {"-replicas", "1"}, {"-ttl", "1ms"}, {"-for", "1ms"}, {"-harm", "slap"},
		{"-job", "j"}, {"-job", clean, "-job", clean}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}

// A signal ends the program in good order, and what was due until then is accounted for.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out bytes.Buffer
	start := time.Now()
	if err := run(ctx, &out, []string{"-for", "1h", "-job", bill}); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "ledger") {
		t.Errorf("error %v", err)
	}
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("took %v", d)
	}
	if !strings.Contains(out.String(), " 0 twice, 0 skipped by policy, 0 dropped by policy, 0 lost.") {
		t.Errorf("no account:\n%s", out.String())
	}
}
