package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be a worker process.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-worker") {
		main()
		return
	}
	os.Exit(m.Run())
}

// server is the URL of an engine. Without one the test is skipped, or fails where it is required.
func server(t *testing.T, name, env string) string {
	t.Helper()
	addr := os.Getenv(env)
	if addr == "" {
		if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), name) {
			t.Fatalf("%s is not set", env)
		}
		t.Skipf("orders: %s is not set", env)
	}
	return name + "://" + addr
}

// trades runs the program both ways.
func trades(t *testing.T, args ...string) {
	t.Parallel() // they mostly wait
	for _, fencing := range []string{"true", "false"} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		if err := run(ctx, &out, append(args, "-fencing="+fencing)); err != nil {
			t.Errorf("fencing %s: %v\n%s", fencing, err, out.String())
		}
		cancel()
		if want := map[string]string{"true": "it adds up", "false": "it does not add up"}[fencing]; !strings.Contains(out.String(), want) {
			t.Errorf("fencing %s: the ledger does not say %q:\n%s", fencing, want, out.String())
		}
	}
}

func TestMemory(t *testing.T) { trades(t, "-ttl", "250ms", "-harm", "2") }

func TestRedis(t *testing.T) { trades(t, "-locks", server(t, "redis", "REDIS_ADDR"), "-harm", "1") }

func TestEtcd(t *testing.T) { trades(t, "-locks", server(t, "etcd", "ETCD_ENDPOINTS"), "-harm", "1") }

func TestPostgres(t *testing.T) {
	server(t, "postgres", "POSTGRES_URL")
	trades(t, "-db", os.Getenv("POSTGRES_URL"), "-ttl", "250ms", "-harm", "2")
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-locks", "mysql://x"}, {"-locks", "redis://127.0.0.1:1"}, {"-locks", "etcd://127.0.0.1:1"}, {"-db", "mysql://x"},
		{"-workers", "1"}, {"-items", "0"}, {"-harm", "0"}, {"-ttl", "1ms"}, {"-no-such"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := run(ctx, &bytes.Buffer{}, args); err == nil {
			t.Errorf("%v was accepted", args)
		}
		cancel()
	}
}

// A signal ends the program in good order.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	if err := run(ctx, &bytes.Buffer{}, nil); err == nil {
		t.Error("no error")
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}
