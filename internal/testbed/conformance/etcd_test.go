package conformance

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lease"
)

// TestEtcd runs the suites on a cluster of three nodes.
func TestEtcd(t *testing.T) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: testbed.EtcdClusterEndpoints(t), DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	list, err := client.MemberList(t.Context())
	if err != nil || len(list.Members) != 3 {
		t.Fatalf("%v (%v), want a cluster of three", list, err)
	}
	t.Run("Leases", func(t *testing.T) {
		backendtest.Leases(t, func(t *testing.T) lease.Backend { return openEtcd(t, client).Leases() })
	})
	t.Run("Fences", func(t *testing.T) {
		backendtest.Fences(t, func(t *testing.T) fence.Marks { return openEtcd(t, client).Fences() })
	})
}

// openEtcd opens a backend on a prefix of its own, which is deleted with the test.
func openEtcd(t *testing.T, client *clientv3.Client) *etcdbackend.Backend {
	t.Helper()
	prefix := "test-" + strings.ToLower(rand.Text()[:12])
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: prefix, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := be.Close(ctx); err != nil {
			t.Error(err)
		}
		if _, err := client.Delete(ctx, prefix+"/", clientv3.WithPrefix()); err != nil {
			t.Error(err)
		}
	})
	return be
}
