// Testall runs every test of every module of the repository against real servers.
//
//	testall                  test: with the race detector, then the exact-count tests without it
//	testall -bench regexp    run benchmarks instead (-benchtime, -count)
//	testall -fuzz regexp     run fuzz targets instead, each for -fuzztime
//	testall -exec command    run a shell command with REDIS_ADDR set
//	testall -setup           only install what is missing
//
// It starts one redis-server and one etcd on free loopback ports and stops them at the end, whatever
// the end is. With REDIS_ADDR or ETCD_ENDPOINTS set it uses those and starts none of its own. etcd
// is built from its pinned module, once. A missing redis-server, PostgreSQL, MariaDB or C compiler
// is installed where that needs no question: as root on Debian, and with Homebrew on a Mac.
// Elsewhere it prints the command to run, and fails. The suites on SQL start their databases while
// they run, and share the ones named by POSTGRES_URL and MARIADB_DSN where they do no harm.
//
// Suites that need Redis Sentinel, Redis Cluster or an etcd of three nodes start them while they
// run. Those that do no harm to servers use the ones named by REDIS_SENTINEL_ADDRS (with
// REDIS_SENTINEL_MASTER, unless the primary is named concord), REDIS_CLUSTER_ADDRS and
// ETCD_CLUSTER_ENDPOINTS instead.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// settings are the command line.
type settings struct {
	setup bool
	exec  string

	bench     string
	benchTime string
	count     int

	fuzz     string
	fuzzTime string
}

func main() {
	var s settings
	flag.BoolVar(&s.setup, "setup", false, "install what is missing and do nothing else")
	flag.StringVar(&s.exec, "exec", "", "run this shell `command` beside a redis-server and do nothing else")
	flag.StringVar(&s.bench, "bench", "", "run the benchmarks that match this `regexp` and do nothing else")
	flag.StringVar(&s.benchTime, "benchtime", "1s", "`time` or count of each benchmark, as in go test")
	flag.IntVar(&s.count, "count", 1, "how `often` each benchmark is run")
	flag.StringVar(&s.fuzz, "fuzz", "", "run the fuzz targets that match this `regexp` and do nothing else")
	flag.StringVar(&s.fuzzTime, "fuzztime", "10s", "`time` or count of each fuzz target, as in go test")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
		os.Exit(1)
	}
}

// run does one mode. The server it starts is stopped on every way out of here, a panic included.
func run(ctx context.Context, s *settings) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	modules, err := findModules(root)
	if err != nil {
		return err
	}
	if s.setup {
		return setUp(ctx)
	}
	if s.fuzz != "" {
		return fuzzAll(ctx, root, modules, s)
	}
	server, err := useRedis(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	if err := showRunning(); err != nil {
		return err
	}
	if s.exec != "" {
		return child(ctx, os.Stdout, "sh", "-c", s.exec)
	}
	etcd, err := useEtcd(ctx)
	if err != nil {
		return err
	}
	defer etcd.stop()
	if err := useDatabases(ctx); err != nil {
		return err
	}
	if s.bench != "" {
		return benchAll(ctx, root, modules, s)
	}
	if err := needCompiler(ctx); err != nil {
		return err
	}
	return testAll(ctx, root, modules)
}
