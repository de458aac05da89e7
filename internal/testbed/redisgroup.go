package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// redisGroup are servers that belong together.
type redisGroup []*Redis

// newGroup returns one server for each port, not started yet, with its files in dir/name-1 and so
// on. What an earlier try left there is removed.
func newGroup(program, dir, name string, ports []int) (redisGroup, error) {
	var g redisGroup
	for i, port := range ports {
		r := &Redis{program: program, port: port, dir: filepath.Join(dir, fmt.Sprint(name, "-", i+1))}
		if err := os.RemoveAll(r.dir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(r.dir, 0o755); err != nil {
			return nil, err
		}
		g = append(g, r)
	}
	return g, nil
}

// start starts all servers and returns when they answer. After a failure some may be up.
func (g redisGroup) start(ctx context.Context) error {
	return g.each(func(_ int, r *Redis) error { return r.start(ctx) })
}

// stop lets all servers end in good order and returns when they are gone.
func (g redisGroup) stop() {
	_ = g.each(func(_ int, r *Redis) error { // never fails
		r.Stop()
		return nil
	})
}

// stopWith stops the servers at the end of the test, and logs the end of their logs if it failed.
func (g redisGroup) stopWith(tb testing.TB) {
	tb.Cleanup(func() {
		g.stop()
		if !tb.Failed() {
			return
		}
		for _, r := range g {
			tb.Logf("log of %s at %s:\n%s", filepath.Base(r.dir), r.Addr(), r.logTail())
		}
	})
}

// each calls f for all servers at the same time and returns when all calls have.
func (g redisGroup) each(f func(i int, r *Redis) error) error {
	failures := make([]error, len(g))
	var all sync.WaitGroup
	for i, r := range g {
		all.Go(func() { failures[i] = f(i, r) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// running returns the servers that are up, paused ones included, but not the one given.
func (g redisGroup) running(except *Redis) redisGroup {
	var up redisGroup
	for _, r := range g {
		if r != except && r.runs() {
			up = append(up, r)
		}
	}
	return up
}

// at returns the server on a port, or nil.
func (g redisGroup) at(port string) *Redis {
	for _, r := range g {
		if strconv.Itoa(r.port) == port {
			return r
		}
	}
	return nil
}

func (g redisGroup) addrs() []string {
	var list []string
	for _, r := range g {
		list = append(list, r.Addr())
	}
	return list
}

// follows returns nil when replica is a replica of primary, counted by it as one that is there,
// and has all that primary had written when it was asked.
func follows(ctx context.Context, replica, primary *Redis) error {
	above, err := primary.replication(ctx)
	if err != nil {
		return err
	}
	below, err := replica.replication(ctx)
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(primary.Addr())
	if below["role"] != "slave" || below["master_host"] != host || below["master_port"] != port {
		return fmt.Errorf("%s is no replica of %s", replica.Addr(), primary.Addr())
	}
	if below["master_link_status"] != "up" || !above.lists(replica) {
		return fmt.Errorf("%s is not connected to %s", replica.Addr(), primary.Addr())
	}
	has, _ := strconv.ParseInt(below["slave_repl_offset"], 10, 64)
	written, err := strconv.ParseInt(above["master_repl_offset"], 10, 64)
	if err != nil || has < written {
		return fmt.Errorf("%s is at %d and %s at %d", replica.Addr(), has, primary.Addr(), written)
	}
	return nil
}

// replication is the section of that name of a server's INFO.
type replication map[string]string

func (r *Redis) replication(ctx context.Context) (replication, error) {
	info, err := r.probe(ctx, []string{"INFO", "replication"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Addr(), err)
	}
	return parseInfo(info.text), nil
}

// lists reports whether a primary counts the server among its replicas.
func (p replication) lists(replica *Redis) bool {
	for name, value := range p { // slave0:ip=127.0.0.1,port=12000,state=online,…
		if strings.HasPrefix(name, "slave") && strings.Contains(value, fmt.Sprintf("port=%d,state=online,", replica.port)) {
			return true
		}
	}
	return false
}
