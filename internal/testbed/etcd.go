package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	etcdReadyPoll  = 20 * time.Millisecond
	etcdReadyProbe = time.Second
	etcdReadyWait  = 30 * time.Second
)

// EtcdOptions are the settings of a cluster. Nil means the defaults.
type EtcdOptions struct {
	// Nodes is the number of members, 1 or 3. Default 1.
	Nodes int

	// Args are further arguments for each server, for example "--quota-backend-bytes", "16777216".
	// They win over the settings made here.
	Args []string
}

// Etcd is a cluster of etcd servers on loopback ports. It is made by [StartEtcd] or [LaunchEtcd];
// the zero value is not usable. All methods may be called from any goroutine.
type Etcd struct {
	nodes []*EtcdNode
}

// EtcdNode is one member.
type EtcdNode struct {
	program string
	name    string
	port    int // for clients
	peer    int
	dir     string
	args    []string

	mu   sync.Mutex // held while the server starts or ends
	proc *process
}

// StartEtcd starts a cluster that ends with the test, and returns when all members are healthy.
// Where the server cannot be built it skips the test, or fails it where CONCORD_REQUIRE names
// etcd. A test that fails logs the end of the servers' logs.
func StartEtcd(tb testing.TB, opts *EtcdOptions) *Etcd {
	tb.Helper()
	if _, err := FindEtcd(); err != nil {
		missing(tb, "etcd", err)
	}
	e, err := LaunchEtcd(context.Background(), tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		e.Stop()
		if tb.Failed() {
			for _, n := range e.nodes {
				tb.Logf("log of etcd at %s:\n%s", n.Addr(), n.logTail())
			}
		}
	})
	return e
}

// LaunchEtcd starts a cluster outside a test, with its files in dir, and returns when all members
// are healthy. The end of ctx ends the wait for it, not the servers: the caller must call Stop.
func LaunchEtcd(ctx context.Context, dir string, opts *EtcdOptions) (*Etcd, error) {
	if opts == nil {
		opts = &EtcdOptions{}
	}
	count := max(1, opts.Nodes)
	if count != 1 && count != 3 {
		return nil, fmt.Errorf("etcd: a cluster has 1 or 3 nodes, not %d", count)
	}
	program, err := FindEtcd()
	if err != nil {
		return nil, err
	}
	return onFreePorts(2*count, nil, func(ports []int) (*Etcd, error) {
		return launchEtcd(ctx, program, dir, ports, opts.Args)
	})
}

// launchEtcd starts a member on each two of the ports.
func launchEtcd(ctx context.Context, program, dir string, ports []int, args []string) (*Etcd, error) {
	e := &Etcd{}
	var members []string
	for pair := range slices.Chunk(ports, 2) {
		name := fmt.Sprint("n", len(e.nodes)+1)
		n := &EtcdNode{program: program, name: name, port: pair[0], peer: pair[1], dir: filepath.Join(dir, name)}
		members = append(members, n.name+"=http://"+loopback(n.peer))
		e.nodes = append(e.nodes, n)
	}
	for _, n := range e.nodes {
		if err := os.RemoveAll(n.dir); err != nil { // of a try before
			return nil, err
		}
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return nil, err
		}
		n.args = append([]string{
			"--name", n.name, "--data-dir", filepath.Join(n.dir, "data"),
			"--listen-client-urls", "http://" + n.Addr(), "--advertise-client-urls", "http://" + n.Addr(),
			"--listen-peer-urls", "http://" + loopback(n.peer), "--initial-advertise-peer-urls", "http://" + loopback(n.peer),
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new",
			"--log-level", "warn",
		}, args...)
	}
	// A member becomes healthy when most are there, so all are started at once.
	failures := make([]error, len(e.nodes))
	var all sync.WaitGroup
	for i, n := range e.nodes {
		all.Go(func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			failures[i] = n.startLocked(ctx)
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// Endpoints returns the addresses of all members, for clients. They stay the same over restarts.
func (e *Etcd) Endpoints() []string {
	var list []string
	for _, n := range e.nodes {
		list = append(list, n.Addr())
	}
	return list
}

// Nodes returns the members.
func (e *Etcd) Nodes() []*EtcdNode { return e.nodes }

// Stop lets all members end in good order and returns when they are gone.
func (e *Etcd) Stop() {
	var all sync.WaitGroup
	for _, n := range e.nodes {
		all.Go(n.Stop)
	}
	all.Wait()
}

// Leader returns the member that leads, or an error if no member that answers knows one.
func (e *Etcd) Leader() (*EtcdNode, error) {
	var failures []error
	for _, n := range e.nodes {
		var s struct {
			Leader string `json:"leader"`
			Header struct {
				Member string `json:"member_id"`
			} `json:"header"`
		}
		if err := n.post("/v3/maintenance/status", &s); err != nil {
			failures = append(failures, err)
			continue
		}
		if s.Leader == s.Header.Member {
			return n, nil
		}
	}
	return nil, errors.Join(append(failures, errors.New("etcd: no leader"))...)
}

// Addr returns host and port of the member, for clients.
func (n *EtcdNode) Addr() string { return loopback(n.port) }

// Kill ends the member at once (SIGKILL) and returns when it is gone. One that is down stays down.
func (n *EtcdNode) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		n.proc.kill()
	}
}

// Stop lets the member end in good order (SIGTERM) and returns when it is gone. One that is down
// stays down.
func (n *EtcdNode) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		n.proc.stop()
	}
}

// Restart starts the member again, on the same ports and with the same files, and returns when it
// is healthy; that takes most members of the cluster. One that still runs is stopped first.
func (n *EtcdNode) Restart() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc.stop()
	return n.startLocked(context.Background())
}

// Pause freezes the member (SIGSTOP): it accepts connections and answers nothing until Resume.
func (n *EtcdNode) Pause() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc.pause()
}

// Resume lets a paused member go on (SIGCONT).
func (n *EtcdNode) Resume() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc.resume()
}

// startLocked starts the process and waits until it is healthy. On failure no process is left.
func (n *EtcdNode) startLocked(ctx context.Context) error {
	logged := len(n.log())
	proc, err := startProcess(n.program, n.args, n.logFile())
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	n.proc = proc
	ctx, cancel := context.WithTimeout(ctx, etcdReadyWait)
	defer cancel()
	if err := n.waitReady(ctx, proc); err != nil {
		proc.kill()
		if bytes.Contains(n.log()[logged:], []byte("address already in use")) {
			err = errPortTaken
		}
		return fmt.Errorf("start etcd on %s: %w\n%s", n.Addr(), err, n.logTail())
	}
	return nil
}

// waitReady returns when the member says that it is healthy: it has a leader and can read.
func (n *EtcdNode) waitReady(ctx context.Context, proc *process) error {
	for {
		err := n.health()
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("it ended: %w", proc.err)
		case <-ctx.Done():
			return fmt.Errorf("it is not healthy: %w", errors.Join(ctx.Err(), err))
		case <-time.After(etcdReadyPoll):
		}
	}
}

// probe is a client without connections of its own that would outlive a test.
var probe = &http.Client{Timeout: etcdReadyProbe, Transport: &http.Transport{DisableKeepAlives: true}}

func (n *EtcdNode) health() error {
	r, err := probe.Get("http://" + n.Addr() + "/health")
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	var h struct{ Health, Reason string }
	if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
		return err
	}
	if h.Health != "true" {
		return errors.New(h.Reason)
	}
	return nil
}

// post asks the member's JSON gateway.
func (n *EtcdNode) post(path string, answer any) error {
	r, err := probe.Post("http://"+n.Addr()+path, "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd at %s: %s: %s", n.Addr(), path, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(answer)
}

func (n *EtcdNode) logFile() string { return filepath.Join(n.dir, "etcd.log") }

func (n *EtcdNode) log() []byte {
	log, _ := os.ReadFile(n.logFile()) // no file yet: nothing
	return log
}

// logTail returns the last lines of the log, for the message of a failure.
func (n *EtcdNode) logTail() []byte {
	const most = 4 << 10
	log := n.log()
	return log[max(0, len(log)-most):]
}
