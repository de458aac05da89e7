package testbed

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// server is what the tests of both databases need.
type server interface {
	Addr() string
	Kill()
	Stop()
	Restart() error
	Pause() error
	Resume() error
}

// listens reports whether somebody accepts connections at addr.
func listens(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		err = c.Close()
	}
	return err == nil
}

// lifeOf takes a server through all that can be done to it.
func lifeOf(t *testing.T, s server, d *database) {
	if !listens(s.Addr()) {
		t.Fatal("a server that was started does not listen")
	}
	workers := append(children(d.proc.pid()), d.proc.pid())
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range workers {
		if !paused(pid) {
			t.Errorf("process %d of a paused server runs", pid)
		}
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil { // of a server that runs
		t.Fatal(err)
	}
	workers = append(children(d.proc.pid()), d.proc.pid())
	s.Kill()
	s.Kill() // of one that is down: nothing
	for _, pid := range workers {
		if alive(pid) {
			t.Errorf("process %d of a killed server lives", pid)
		}
	}
	if listens(s.Addr()) {
		t.Error("a killed server listens")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if !listens(s.Addr()) {
		t.Error("a restarted server does not listen")
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.Stop() // of a paused one
	if listens(s.Addr()) {
		t.Error("a stopped server listens")
	}
	if took := time.Since(start); took >= stopGrace {
		t.Errorf("a paused server took %v to stop: it was killed", took)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t, nil)
	lifeOf(t, p, &p.database)
	if log := string(p.log()); !strings.Contains(log, "was not properly shut down") {
		t.Errorf("no recovery after the kill:\n%s", log)
	}
}

func TestDatabaseIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, env := range []string{postgresEnv, mariadbEnv} {
		t.Setenv(env, "")
	}
	old := [][]string{postgresDirs, mariadbDirs}
	postgresDirs, mariadbDirs = nil, nil
	t.Cleanup(func() { postgresDirs, mariadbDirs = old[0], old[1] })
	for name, start := range map[string]func(testing.TB){
		"postgres": func(tb testing.TB) { StartPostgres(tb, nil) },
		"mariadb":  func(tb testing.TB) { StartMariaDB(tb, nil) },
	} {
		for list, want := range map[string]string{"": "skipped", name: "failed"} {
			t.Setenv(requireEnv, list)
			if got := verdictOn(t, start); got != want {
				t.Errorf("%s, with %s=%q: the test %s, want %s", name, requireEnv, list, got, want)
			}
		}
	}
}

func TestServerUser(t *testing.T) {
	u, err := serverUser("nobody-of-that-name", "nobody")
	switch {
	case os.Geteuid() != 0:
		if u != nil || err != nil {
			t.Errorf("serverUser = %v, %v, want none where this is not root", u, err)
		}
	case err != nil || u.Uid == 0:
		t.Errorf("serverUser = %v, %v, want nobody", u, err)
	}
}
