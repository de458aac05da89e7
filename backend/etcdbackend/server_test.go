package etcdbackend

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// cluster is members that are started for one test alone, to be mistreated.
type cluster struct {
	endpoints []string
	members   []*exec.Cmd
	args      [][]string
	program   string
}

// ownCluster starts a cluster with further arguments. The program is ETCD_PROGRAM, or etcd on the
// PATH.
func ownCluster(t *testing.T, count int, args ...string) *cluster {
	t.Helper()
	return startCluster(t, count, nil, args)
}

// startCluster starts a cluster whose clients connect with secure, if it is not nil.
func startCluster(t *testing.T, count int, secure *tls.Config, args []string) *cluster {
	t.Helper()
	k := &cluster{program: os.Getenv("ETCD_PROGRAM")}
	scheme := "http://"
	if secure != nil {
		scheme = "https://"
	}
	if k.program == "" {
		var err error
		if k.program, err = exec.LookPath("etcd"); err != nil {
			missing(t, "etcdbackend: ETCD_PROGRAM is not set, and there is no etcd on the PATH")
		}
	}
	var peers, all []string
	for i := range count {
		k.endpoints = append(k.endpoints, freeAddr(t))
		peers = append(peers, freeAddr(t))
		all = append(all, fmt.Sprintf("n%d=http://%s", i, peers[i]))
	}
	dir := t.TempDir()
	for i := range count {
		client, peer := scheme+k.endpoints[i], "http://"+peers[i]
		k.args = append(k.args, append([]string{"--name", fmt.Sprint("n", i), "--data-dir", filepath.Join(dir, fmt.Sprint(i)), "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
			"--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(all, ",")}, args...))
		k.members = append(k.members, nil)
		k.run(t, i)
	}
	t.Cleanup(func() {
		for i := range k.members {
			k.kill(i)
		}
	})
	client := connectWith(t, clientv3.Config{Endpoints: k.endpoints, TLS: secure})
	eventually(t, "the cluster answers", func() bool {
		for _, e := range k.endpoints {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := client.Status(ctx, e)
			cancel()
			if err != nil || s.Leader == 0 {
				return false
			}
		}
		return true
	})
	return k
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts a member, for the first time or again.
func (k *cluster) run(t *testing.T, i int) {
	t.Helper()
	cmd := exec.Command(k.program, k.args[i]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.members[i] = cmd
}

func (k *cluster) kill(i int) {
	if cmd := k.members[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		k.members[i] = nil
	}
}

func (k *cluster) signal(t *testing.T, i int, s syscall.Signal) {
	t.Helper()
	if err := k.members[i].Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// leader returns the number of the member that leads.
func (k *cluster) leader(t *testing.T, client *clientv3.Client) int {
	t.Helper()
	for i, e := range k.endpoints {
		s, err := client.Status(within(t, 2*time.Second), e)
		if err == nil && s.Leader == s.Header.MemberId {
			return i
		}
	}
	t.Fatal("no leader")
	return 0
}

// silent is the address of a server that accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the system accepts, and nobody reads
	return l.Addr().String()
}
