package main

import (
	"bytes"
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

func redisURL(t *testing.T) string {
	t.Helper()
	addr := os.Getenv("REDIS_ADDR")
	if addr == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "redis") {
			t.Fatal("REDIS_ADDR is not set")
		}
		t.Skip("quickstart: REDIS_ADDR is not set")
	}
	return "redis://" + addr
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

func TestRedis(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-backend", redisURL(t)}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	tells(t, out.String())
}

func TestTwoProcesses(t *testing.T) {
	url := redisURL(t)
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
		{"-backend", "mysql://x"}, {"-backend", "redis://"}, {"-workers", "1"}, {"-rounds", "0"}, {"-ttl", "1ms"}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}
