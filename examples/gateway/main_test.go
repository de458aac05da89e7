package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/membership"
)

// TestMain lets the test binary be the program, and so an upstream or a gateway.
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
	env := map[string]string{"redis": "REDIS_ADDR", "etcd": "ETCD_ENDPOINTS"}[name]
	addrs := os.Getenv(env)
	if addrs == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), name) {
			t.Fatalf("%s is not set", env)
		}
		t.Skipf("gateway: %s is not set", env)
	}
	return name + "://" + addrs
}

// play runs the program. That no limit was broken, no header was wrong, nobody came in vain when told to
// come, and nothing failed, the program finds out itself.
func play(t *testing.T, backend string) {
	t.Helper()
	var out bytes.Buffer
	// On a machine that is busy a gateway hears late of an upstream that has left.
	p, err := parse(&out, []string{"-backend", backend, "-linger", "1s", "-group", t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	e, err := openEngine(p.backend)
	if err != nil {
		t.Fatal(err)
	}
	defer soon(ctx, t.Errorf, e.close)
	s, err := perform(ctx, &out, p, e)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	sum := func(kind string, of func(*row) int) (n int) {
		for _, r := range s.tally.rows {
			if r.kind == kind {
				n += of(r)
			}
		}
		return n
	}
	overOwn := func(r *row) int { return r.over[perClient.Name] }
	for _, kind := range []string{"greedy", "burst"} {
		if sum(kind, overOwn) == 0 {
			t.Errorf("the %s client was never refused", kind)
		}
	}
	if sum("crowd", func(r *row) int { return r.over[forAll.Name] }) == 0 {
		t.Error("the crowd was never refused by the limit of all")
	}
	// Who takes units ahead does not know how many are left, and so cannot tell the polite ones.
	if n := sum("polite", overOwn); n > 0 && !e.limits.Capabilities().Block {
		t.Errorf("polite clients were refused %d times by their own limit", n)
	}
	for _, kind := range []string{"polite", "greedy", "burst", "crowd"} {
		if sum(kind, func(r *row) int { return r.passed }) == 0 {
			t.Errorf("no request of the kind %s has passed", kind)
		}
	}
	for _, id := range []string{"u1", "u2", "u3"} {
		if s.tally.served[id] == 0 {
			t.Errorf("%s got no request", id)
		}
	}
	for _, part := range []string{"g1 - u2\n", "g2 - u2\n", "u1 leaves", "u2 leaves the group", "u3 leaves"} {
		if strings.Count(out.String(), part) != 1 {
			t.Errorf("not one %q", part)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestMemory(t *testing.T) {
	t.Parallel() // they mostly wait
	play(t, "memory")
}

// On a server the upstreams and the gateways are processes, which get SIGTERM.
func TestServers(t *testing.T) {
	for _, name := range []string{"redis", "etcd"} {
		t.Run(name, func(t *testing.T) {
			url := server(t, name)
			t.Parallel()
			play(t, url)
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

// listening starts a server and returns its address, and what asks it to stop and checks that it does.
func listening(t *testing.T, args ...string) (addr string, end func()) {
	t.Helper()
	cmd, says := program(t, args...)
	for ok := false; !ok; {
		if !says.Scan() {
			t.Fatalf("%v has ended", args)
		}
		addr, ok = strings.CutPrefix(says.Text(), listenPrefix)
	}
	return addr, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		for says.Scan() {
			t.Log(says.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("%v listens after its end", args)
		}
	}
}

// The processes can be started by hand, and end with 0 when they get SIGTERM.
func TestByHand(t *testing.T) {
	for _, name := range []string{"redis", "etcd"} {
		t.Run(name, func(t *testing.T) {
			url := server(t, name)
			t.Parallel()
			on := []string{"-backend", url, "-group", t.Name(), "-linger", "100ms"}
			_, endUpstream := listening(t, append(on, "-upstream", "mine")...)
			gateway, endGateway := listening(t, append(on, "-gateway", anyPort)...)
			var out bytes.Buffer
			if err := run(t.Context(), &out, []string{"-load", "http://" + gateway, "-each", "300ms"}); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), "answered by mine") {
				t.Errorf("nobody has answered:\n%s", out.String())
			}
			endGateway()
			endUpstream()
		})
	}
}

// A signal ends the program in good order, with the table of what has happened until then.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	cmd, says := program(t, "-each", "1m")
	var text strings.Builder
	for says.Scan() {
		fmt.Fprintln(&text, says.Text())
		if strings.Contains(says.Text(), "g2 + u3") {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, text.String())
	}
	for _, part := range []string{"u1 leaves", "u2 leaves the group", "u3 leaves", "over their limit"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("no %q:\n%s", part, text.String())
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-backend", "mysql://x"}, {"-backend", "redis://"}, {"-backend", "etcd"}, {"-backend", "redis://127.0.0.1:1"},
		{"-backend", "etcd://127.0.0.1:1"}, {"-backend", "redis://127.0.0.1:1", "-upstream", "mine"},
		{"-upstream", "mine"}, {"-gateway", anyPort}, {"-gateway", "x", "-load", "y"}, {"-group", ""},
		{"-linger", "-1s"}, {"-each", "1ms"}, {"-load", "http://127.0.0.1:1", "-each", "100ms"}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}

// A request goes elsewhere when an upstream cannot be connected to, body and all, and not when it may
// have got the request.
func TestSpread(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer echo.Close()
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer breaks.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	member := func(id string, s *httptest.Server) membership.Member {
		return membership.Member{ID: id, Addr: s.Listener.Addr().String(), Weight: 1}
	}
	for _, c := range []struct {
		name    string
		members []membership.Member
		want    int
	}{
		{"one is gone", []membership.Member{member("a", gone), member("b", echo)}, http.StatusOK},
		{"one breaks", []membership.Member{member("a", breaks)}, http.StatusBadGateway},
		{"all are gone", []membership.Member{member("a", gone), member("b", gone)}, http.StatusBadGateway},
		{"none is there", nil, http.StatusServiceUnavailable},
	} {
		picker, err := membership.NewPicker(membership.RoundRobin)
		if err != nil {
			t.Fatal(err)
		}
		picker.Set(c.members)
		transport := &http.Transport{}
		front := httptest.NewServer((&gateway{says: t.Logf}).proxy(&spread{picker, transport}))
		for range 2 { // each of the members is the first once
			resp, err := http.Post(front.URL, "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.want || err != nil || c.want == http.StatusOK && string(body) != "hello" {
				t.Errorf("%s: %s, %q, %v", c.name, resp.Status, body, err)
			}
		}
		transport.CloseIdleConnections()
		front.Close()
	}
}

// before returns the limits before a handler, on an engine in memory.
func before(t *testing.T, next http.Handler) (http.Handler, *memorybackend.Control) {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { soon(context.Background(), t.Errorf, be.Close) })
	limits, err := newLimits(&engine{limits: be.Limits()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { soon(context.Background(), t.Errorf, limits.close) })
	h, err := limits.before(next, "g")
	if err != nil {
		t.Fatal(err)
	}
	return h, be.Control()
}

func ask(h http.Handler, key string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	if key != "" {
		r.Header.Set(apiKey, key)
	}
	h.ServeHTTP(w, r)
	return w
}

// Who does not say who he is gets nothing.
func TestNoKey(t *testing.T) {
	h, _ := before(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("passed") }))
	if w := ask(h, ""); w.Code != http.StatusBadRequest || w.Header().Get(headerPolicy) != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// While the engine does not answer nothing passes, and all passes when it is back.
func TestEngineAway(t *testing.T) {
	passed := 0
	h, control := before(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	control.FailNext(1<<30, nil)
	if w := ask(h, "a"); w.Code != http.StatusServiceUnavailable || w.Header().Get(headerRetryAfter) == "" || passed > 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	control.FailNext(0, nil)
	if w := ask(h, "a"); w.Code != http.StatusOK || passed != 1 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// A wrong header is found.
func TestReadRefusal(t *testing.T) {
	const body = `{"status":429,"violated-policies":["client"]}`
	good := map[string]string{
		"Content-Type": "application/problem+json", headerRetryAfter: "1",
		headerRateLimit: `"client";r=0;t=1`, headerPolicy: `"client";q=10;w=1`,
	}
	read := func(changed, to, body string) (refusal, error) {
		h := http.Header{}
		for name, value := range good {
			h.Set(name, value)
		}
		h.Set(changed, to)
		return readRefusal(h, []byte(body))
	}
	if r, err := read("X", "", body); err != nil || r != (refusal{"client", time.Second}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range [][3]string{
		{"X", "", "{"}, {"X", "", `{"status":429}`}, {"Content-Type", "text/plain", body}, {headerRetryAfter, "0", body}, {headerRetryAfter, "", body},
		{headerRetryAfter, "2", body}, {headerRateLimit, `"client";r=1;t=1`, body}, {headerRateLimit, `"all";r=0;t=1`, body}, {headerRateLimit, `"client";r=0`, body},
		{headerRateLimit, `"`, body}, {headerPolicy, `"client";q=11;w=1`, body}, {headerPolicy, "", body},
	} {
		if _, err := read(c[0], c[1], c[2]); err == nil {
			t.Errorf("%q was accepted", c)
		}
	}
}

// A limit that was broken is found, and one that may have been kept is not.
func TestKept(t *testing.T) {
	start := time.Now()
	at := func(from, to time.Duration) span { return span{start.Add(from), start.Add(to)} }
	passed := slices.Repeat([]span{at(0, time.Millisecond)}, int(perClient.Burst))
	passed = append(passed, at(0, time.Second)) // at the end, perhaps
	if err := kept(perClient, passed); err != nil {
		t.Error(err)
	}
	if n := busiest(passed, time.Second); n != len(passed) {
		t.Errorf("%d in a second, not %d", n, len(passed))
	}
	if err := kept(perClient, append(passed, at(0, time.Millisecond))); err == nil {
		t.Error("one too many was not found")
	}
}

// What should not have happened is an error at the end.
func TestTally(t *testing.T) {
	c := &client{kind: "polite", key: "polite-0"}
	broken := errors.New("broken")
	for _, wrong := range []func(*tally){
		func(t *tally) { t.count(c, &answer{err: broken}) },
		func(t *tally) { t.count(c, &answer{wrong: broken}) },
		func(t *tally) { t.early(c, broken) },
	} {
		tally := &tally{spans: map[string][]span{}, served: map[string]int{}}
		tally.count(c, &answer{by: "u1"})
		tally.count(c, &answer{refused: refusal{"all", time.Second}})
		if err := tally.end(io.Discard); err != nil {
			t.Error(err)
		}
		wrong(tally)
		if err := tally.end(io.Discard); !errors.Is(err, broken) {
			t.Errorf("end: %v", err)
		}
	}
}
