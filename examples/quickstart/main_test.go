package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test binary be the program, so that two processes can be tested.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// tells checks that a run told the whole story.
func tells(t *testing.T, out string) {
	t.Helper()
	for _, part := range []string{
		"With fencing", "is paused for", "takes over", "a lock that it lost", "is REFUSED", "-> right",
		"without fencing", "is not stopped", " lost\n",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("the story does not say %q:\n%s", part, out)
		}
	}
}

// server is the URL of the engine of that name. Without one the test is skipped, or fails where it
// is required.
func server(t *testing.T, name string) string {
	t.Helper()
	env := map[string]string{"redis": "REDIS_ADDR", "sentinel": "REDIS_SENTINEL_ADDRS", "cluster": "REDIS_CLUSTER_ADDRS", "etcd": "ETCD_ENDPOINTS"}[name]
	addrs := os.Getenv(env)
	if addrs == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), name) {
			t.Fatalf("%s is not set", env)
		}
		t.Skipf("quickstart: %s is not set", env)
	}
	switch name {
	case "sentinel":
		master := cmp.Or(os.Getenv("REDIS_SENTINEL_MASTER"), "concord")
		return "redis+sentinel://" + addrs + "/" + master
	case "cluster":
		return "redis+cluster://" + addrs
	}
	return name + "://" + addrs
}

func TestMemory(t *testing.T) {
	var out bytes.Buffer
	start := time.Now()
	if err := run(t.Context(), &out, nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v, want under ten seconds", d)
	}
	tells(t, out.String())
}

func TestServers(t *testing.T) {
	for _, name := range []string{"redis", "sentinel", "cluster", "etcd"} {
		t.Run(name, func(t *testing.T) {
			url := server(t, name)
			var out bytes.Buffer
			if err := run(t.Context(), &out, []string{"-backend", url}); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			tells(t, out.String())
		})
	}
}

func TestTwoProcesses(t *testing.T) {
	for _, name := range []string{"redis", "etcd"} {
		t.Run(name, func(t *testing.T) { twoProcesses(t, server(t, name)) })
	}
}

func twoProcesses(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			cmd := exec.CommandContext(ctx, os.Args[0], "-backend", url)
			cmd.Env = append(os.Environ(), "QUICKSTART_MAIN=1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "-> right") || !strings.Contains(string(out), "is REFUSED") {
				t.Errorf("a process does not tell the story:\n%s", out)
			}
		})
	}
	wg.Wait()
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-backend", "mysql://x"}, {"-backend", "redis://"}, {"-backend", "etcd"}, {"-backend", "redis+sentinel://127.0.0.1:1"},
		{"-backend", "redis://127.0.0.1:1"}, {"-backend", "redis+sentinel://127.0.0.1:1/m"},
		{"-backend", "redis+cluster://127.0.0.1:1,127.0.0.1:2"}, {"-backend", "etcd://127.0.0.1:1"}, {"-workers", "1"}, {"-rounds", "0"}, {"-ttl", "1ms"}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}
