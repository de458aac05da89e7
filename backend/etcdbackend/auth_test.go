package etcdbackend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

const (
	readWrite = clientv3.PermissionType(clientv3.PermReadWrite)
	readOnly  = clientv3.PermissionType(clientv3.PermRead)
	writeOnly = clientv3.PermissionType(clientv3.PermWrite)
)

// guarded is a cluster with authentication, and the client of its root.
type guarded struct {
	*cluster
	root *clientv3.Client
}

func startGuarded(t *testing.T) guarded {
	t.Helper()
	k := ownCluster(t, 1, "--auth-token", "simple", "--bcrypt-cost", "4")
	plain := connect(t, k.endpoints)
	ctx := within(t, 10*time.Second)
	_, err1 := plain.UserAdd(ctx, "root", "root")
	_, err2 := plain.UserGrantRole(ctx, "root", "root")
	_, err3 := plain.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return guarded{k, connectWith(t, clientv3.Config{Endpoints: k.endpoints, Username: "root", Password: "root"})}
}

// user makes a user whose role has one permission on each of some ranges, and returns its client.
func (g guarded) user(t *testing.T, name string, ranges map[string]clientv3.PermissionType) *clientv3.Client {
	t.Helper()
	ctx := within(t, 10*time.Second)
	_, err := g.root.RoleAdd(ctx, name)
	for prefix, kind := range ranges {
		_, grant := g.root.RoleGrantPermission(ctx, name, prefix, clientv3.GetPrefixRangeEnd(prefix), kind)
		err = errors.Join(err, grant)
	}
	_, add := g.root.UserAdd(ctx, name, "secret")
	_, role := g.root.UserGrantRole(ctx, name, name)
	if err := errors.Join(err, add, role); err != nil {
		t.Fatal(err)
	}
	return connectWith(t, clientv3.Config{Endpoints: g.endpoints, Username: name, Password: "secret"})
}

// The role of docs/security.md is enough for all that the package does, and no part of it can be
// left out.
func TestPermissions(t *testing.T) {
	g := startGuarded(t)
	const root = "shop/1/"

	client := g.user(t, "locks", map[string]clientv3.PermissionType{root: readWrite, "data/": readWrite})
	be := openWith(t, client, &Options{Prefix: "shop", Strict: true})
	ctx := within(t, 30*time.Second)
	if err := be.Check(ctx); err != nil {
		t.Fatal(err)
	}
	everyVerb(t, client, be)

	all := map[string]clientv3.PermissionType{"l/": readWrite, "r/": readWrite, "t/": readWrite, "f/": readWrite}
	less := map[string]map[string]clientv3.PermissionType{
		"write": {"": readOnly},
		"read":  {"": writeOnly},
	}
	for part := range all {
		without := map[string]clientv3.PermissionType{}
		for other, kind := range all {
			if other != part {
				without[other] = kind
			}
		}
		less["all of "+part] = without
	}
	for name, ranges := range less {
		t.Run("without "+name, func(t *testing.T) {
			full := map[string]clientv3.PermissionType{}
			for part, kind := range ranges {
				full[root+part] = kind
			}
			client := g.user(t, "without "+name, full)
			be := openWith(t, client, &Options{Prefix: "shop", Logger: quiet()})
			start := time.Now()
			var failed *check.Error
			if err := be.Check(within(t, 10*time.Second)); !errors.As(err, &failed) || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// everyVerb does under one user what locks, marks and guards do.
func everyVerb(t *testing.T, client *clientv3.Client, be *Backend) {
	t.Helper()
	second := openWith(t, client, &Options{Prefix: "shop", Logger: quiet()})
	ctx := within(t, 30*time.Second)
	locks, others := lockerOf(t, be, minTTL), lockerOf(t, second, minTTL)
	held, err := locks.Acquire(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		got <- others.Do(ctx, "k", func(ctx context.Context, l *lock.Lease) error {
			if err := be.Guard().Raise(ctx, "data", l.Token()); err != nil {
				return err
			}
			_, err := be.Guard().Txn(ctx, "data", l.Token(), clientv3.OpPut("data/x", "v"))
			return err
		})
	}()
	eventually(t, "the second waits", func() bool {
		s, err := locks.Inspect(ctx, "k")
		return err == nil && s.Waiting == 1
	})
	time.Sleep(minTTL + time.Second) // it is renewed
	if err := held.Context().Err(); err != nil {
		t.Fatal(context.Cause(held.Context()))
	}
	if err := held.Release(ctx); err != nil {
		t.Error(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	if held, err = others.Acquire(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if err := locks.Revoke(ctx, "k", held.Token(), nil); err != nil {
		t.Error(err)
	}
	select {
	case <-held.Context().Done():
	case <-ctx.Done():
		t.Error("the revocation is not noticed")
	}
	c := wish("alone") // a lease of its own, moved to a longer one, and a tombstone
	c.Alone = true
	acquire(t, be, c, lease.Granted)
	c.TTL *= 2
	renew(t, be, c, false, lease.Granted)
	if _, err := be.Leases().Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true}); err != nil {
		t.Error(err)
	}
	acquire(t, be, c, lease.Gone)
}

// A user without the permission, and one who has lost it, get one clear error at once. A wrong
// password is refused when the client is made.
func TestAccessDenied(t *testing.T) {
	g := startGuarded(t)
	start := time.Now()
	_, err := clientv3.New(clientv3.Config{Endpoints: g.endpoints, Username: "root", Password: "wrong", DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if !errors.Is(err, rpctypes.ErrAuthFailed) || time.Since(start) > 3*time.Second {
		t.Errorf("wrong password: %v after %v", err, time.Since(start))
	}

	denied := func(name string, locks *lock.Locker, want error) {
		t.Helper()
		for try, acquire := range map[bool]func(context.Context, string) (*lock.Lease, error){false: locks.Acquire, true: locks.TryAcquire} {
			start := time.Now()
			_, err := acquire(context.Background(), "k")
			if !errors.Is(err, want) || errors.Is(err, lock.ErrUnavailable) {
				t.Errorf("%s, try %t: %v", name, try, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s, try %t: took %v", name, try, took)
			}
		}
	}
	stranger := g.user(t, "stranger", map[string]clientv3.PermissionType{"elsewhere/": readWrite})
	locks := lockerOf(t, openWith(t, stranger, &Options{Prefix: "shop", Logger: quiet()}), minTTL)
	denied("no permission", locks, rpctypes.ErrPermissionDenied)
	nobody := connect(t, g.endpoints)
	locks = lockerOf(t, openWith(t, nobody, &Options{Prefix: "shop", Logger: quiet()}), minTTL)
	denied("no user", locks, rpctypes.ErrUserEmpty)

	// The permission is taken away while a lock is held: it cannot be released, and ends with the
	// lease of its process, which is given up for that.
	ctx := within(t, 20*time.Second)
	client := g.user(t, "dismissed", map[string]clientv3.PermissionType{"shop/1/": readWrite})
	be := openWith(t, client, &Options{Prefix: "shop", Logger: quiet()})
	locks = lockerOf(t, be, minTTL)
	held, err := locks.Acquire(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.root.UserRevokeRole(ctx, "dismissed", "dismissed"); err != nil {
		t.Fatal(err)
	}
	denied("dismissed", locks, rpctypes.ErrPermissionDenied)
	if err := held.Release(ctx); err == nil {
		t.Error("released without the permission")
	}
	released := time.Now()
	eventually(t, "the claim ends with its lease", func() bool {
		r, err := g.root.Get(ctx, be.names.claims, clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil && r.Count == 0
	})
	t.Logf("after %v", time.Since(released).Round(time.Millisecond))
}
