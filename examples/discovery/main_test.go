package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// TestMain lets the test binary be the program, and so a replica process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
		return
	}
	os.Exit(m.Run())
}

// server is the URL of an engine. Without one the test is skipped, or fails where it is required.
func server(t *testing.T, name string) string {
	t.Helper()
	env := map[string]string{"redis": "REDIS_ADDR", "sentinel": "REDIS_SENTINEL_ADDRS", "cluster": "REDIS_CLUSTER_ADDRS", "etcd": "ETCD_ENDPOINTS"}[name]
	addrs := os.Getenv(env)
	if addrs == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), name) {
			t.Fatalf("%s is not set", env)
		}
		t.Skipf("discovery: %s is not set", env)
	}
	switch name {
	case "sentinel":
		return "redis+sentinel://" + addrs + "/" + cmp.Or(os.Getenv("REDIS_SENTINEL_MASTER"), "concord")
	case "cluster":
		return "redis+cluster://" + addrs
	}
	return name + "://" + addrs
}

// shown is what a run of the program has shown.
type shown struct {
	*show
	text string
}

func (s *shown) phase(t *testing.T, name string) *phase {
	t.Helper()
	i := slices.IndexFunc(s.tally.phases, func(p *phase) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no phase %q:\n%s", name, s.text)
	}
	return s.tally.phases[i]
}

// play runs the program. Whatever happens, no request fails, and none is tried again unless a replica
// was killed.
func play(t *testing.T, args ...string) *shown {
	t.Helper()
	var out bytes.Buffer
	// On a machine that is busy a client hears late of a replica that has left.
	p, err := parse(&out, append(args, "-ttl", "2s", "-linger", "1s", "-each", "700ms", "-workers", "2", "-group", t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s, err := perform(ctx, &out, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	shown := &shown{s, out.String()}
	for _, p := range s.tally.phases {
		if p.requests == 0 || p.failed > 0 || p.again > 0 != (p.name == "r3 is killed") {
			t.Errorf("%s: %d requests, %d failed, %d tried again", p.name, p.requests, p.failed, p.again)
		}
	}
	for _, id := range []string{"r1", "r2", "r3", "r4"} {
		if shown.phase(t, "r4 joins").served[id] == 0 {
			t.Errorf("%s got no request", id)
		}
	}
	weighed := shown.phase(t, "r1 has weight 3").served
	others := max(weighed["r2"], weighed["r3"], weighed["r4"])
	if p.strategy == membership.RoundRobin && weighed["r1"] <= others { // the others go by requests under way as well
		t.Errorf("weight 3 has got %d requests, and weight 1 %d", weighed["r1"], others)
	}
	// One that left is forgotten at once, one that was killed after its TTL and until that is noticed.
	if n := shown.phase(t, "r3 is killed").served["r2"]; n > 0 {
		t.Errorf("%d requests to r2, which has ended", n)
	}
	if limit := p.ttl + lease.MaxNotice; s.lasting > limit {
		t.Errorf("r3 was on show for %v after its death, want at most %v", s.lasting, limit)
	}
	for _, part := range []string{"+ r4 at ", "~ r1 at ", "- r2\n", "- r3\n"} {
		if strings.Count(shown.text, "s  "+part) != 1 {
			t.Errorf("not one %q", part)
		}
	}
	if strings.Contains(shown.text, "s  - r1\n") || strings.Contains(shown.text, "s  - r4\n") {
		t.Error("a replica was lost that was well")
	}
	if t.Failed() {
		t.Log(shown.text)
	}
	return shown
}

// In memory the engine is away until all replicas have lost their place, and the client keeps them: they
// are back before it gives up on any, which play has checked.
func TestMemory(t *testing.T) {
	t.Parallel() // they mostly wait
	s := play(t)
	away := s.phase(t, "the engine is away").served
	if away["r1"] == 0 || away["r4"] == 0 || away["r2"]+away["r3"] > 0 {
		t.Errorf("requests %v", away)
	}
	for _, part := range []string{"r1 is lost to the group", "r4 is lost to the group", "r1 has joined again", "r4 has joined again"} {
		if strings.Count(s.text, part) != 1 {
			t.Errorf("not one %q:\n%s", part, s.text)
		}
	}
}

// On a server the replicas are processes, which get SIGKILL and SIGTERM.
func TestServers(t *testing.T) {
	for name, strategy := range map[string]string{
		"redis": "least-in-flight", "sentinel": "round-robin", "cluster": "power-of-two-choices", "etcd": "round-robin",
	} {
		t.Run(name, func(t *testing.T) {
			url := server(t, name)
			t.Parallel()
			play(t, "-backend", url, "-strategy", strategy)
		})
	}
}

// program starts this program as a process, which is killed if the test leaves it running.
func program(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	says, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, bufio.NewScanner(says)
}

// A replica that gets SIGTERM leaves the group, serves for a moment, and exits with 0. Its TTL is long,
// so nothing but leaving takes it out of the group.
func TestReplicaIsAskedToStop(t *testing.T) {
	for _, name := range []string{"redis", "etcd"} {
		t.Run(name, func(t *testing.T) {
			url := server(t, name)
			t.Parallel()
			stopReplica(t, url)
		})
	}
}

func stopReplica(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := openEngine(url)
	if err != nil {
		t.Fatal(err)
	}
	defer soon(ctx, t.Logf, e.close)
	group, err := membership.New(e.leases, t.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer soon(ctx, t.Logf, group.Close)
	c, err := newClient(&plan{workers: 1}, &tally{}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.http.CloseIdleConnections()

	cmd, _ := program(t, "-replica", "mine", "-backend", url, "-group", t.Name(), "-ttl", "1m", "-linger", "2s")
	var addr string
	for view, err := range group.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if addr != "" && len(view.Members) == 0 {
			break
		}
		if addr == "" && len(view.Members) == 1 {
			addr = view.Members[0].Addr
			if body, err := c.do(ctx, "GET", "http://"+addr+"/"); body != "mine" || err != nil {
				t.Errorf("answer %q, %v", body, err)
			}
			if _, err := c.do(ctx, "PUT", "http://"+addr+"/weight/0"); err == nil || !strings.Contains(err.Error(), "Weight") {
				t.Errorf("weight 0: %v", err)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if body, err := c.do(ctx, "GET", "http://"+addr+"/"); body != "mine" || err != nil {
		t.Errorf("after it has left: %q, %v", body, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
	if _, err := c.do(ctx, "GET", "http://"+addr+"/"); err == nil {
		t.Error("it serves after its end")
	}
}

// A signal ends the program in good order, with the table of what has happened until then.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	cmd, says := program(t, "-each", "1m")
	var text strings.Builder
	for says.Scan() {
		fmt.Fprintln(&text, says.Text())
		if strings.Contains(says.Text(), "requests: ") && !strings.Contains(text.String(), "== the end") {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, text.String())
	}
	for _, part := range []string{"r1 leaves the group", "r2 leaves the group", "r3 leaves the group", "tried again", "three replicas  "} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("no %q:\n%s", part, text.String())
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-backend", "mysql://x"}, {"-backend", "redis://"}, {"-backend", "etcd"}, {"-backend", "redis+sentinel://127.0.0.1:1"},
		{"-backend", "redis://127.0.0.1:1"}, {"-backend", "redis+sentinel://127.0.0.1:1/m"}, {"-backend", "redis+cluster://127.0.0.1:1,127.0.0.1:2"},
		{"-backend", "etcd://127.0.0.1:1"}, {"-backend", "redis://127.0.0.1:1", "-replica", "mine"}, {"-workers", "0"}, {"-ttl", "1ms"},
		{"-linger", "-1s"}, {"-each", "1ms"}, {"-strategy", "random"}, {"-group", ""}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}

// The verdict finds what should not have happened.
func TestVerdict(t *testing.T) {
	tally := &tally{}
	tally.begin("calm", false)
	tally.count("a", nil, nil)
	tally.begin("harm", true)
	tally.count("a", []string{"b"}, nil)
	if err := tally.verdict(); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	tally.count("", []string{"a", "b"}, broken)
	if err := tally.verdict(); !errors.Is(err, broken) {
		t.Errorf("verdict %v", err)
	}
	tally.phases = tally.phases[:1]
	tally.count("a", []string{"b"}, nil)
	if err := tally.verdict(); err == nil {
		t.Error("a request was tried again in a calm phase")
	}
}
