package lockfaults

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// nobody is an address where no server listens.
const nobody = "127.0.0.1:1"

// A client that does not fit gets one error that names what is wrong, and in time.
func TestUnfitClients(t *testing.T) {
	single := testbed.StartRedis(t, nil)
	cluster := testbed.StartCluster(t, &testbed.ClusterOptions{NoReplicas: true})
	sentinel := testbed.StartSentinel(t, nil)
	locked := testbed.StartRedis(t, nil)
	dialersEnd(t)
	as := func(user, password string) *redis.Options {
		o := recommended.Redis(single.Addr())
		o.Username, o.Password = user, password
		return o
	}
	for _, rule := range []string{
		"reader on >secret ~concord:* &concord:* +@read +@connection +info",
		"stranger on >secret ~other:* &other:* +@all",
	} {
		if _, err := single.Command(append([]string{"ACL", "SETUSER"}, strings.Fields(rule)...)...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := locked.Command("CONFIG", "SET", "requirepass", "secret"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		client  redis.UniversalClient
		want    string // in the error of an acquire
		checked string // in that of Check
		later   bool   // trying again might help, so an acquire does for a while
	}{
		{"cluster client for a single server", redis.NewClusterClient(recommended.Cluster([]string{single.Addr()})),
			"needs an ordinary client", "needs an ordinary client", false},
		{"single client for a node of a cluster", redis.NewClient(recommended.Redis(cluster.Addrs()[0])),
			"needs a cluster client", "needs a cluster client", false},
		{"single client for a sentinel", redis.NewClient(recommended.Redis(sentinel.Addrs()[0])),
			"keeps no data", "keeps no data", false},
		{"wrong name of the primary", redis.NewFailoverClient(recommended.Sentinel(sentinel.Addrs(), "another")),
			"no Sentinel knows a primary of the name", "no Sentinel knows a primary of the name", false},
		{"wrong password", redis.NewClient(as("reader", "guess")), "WRONGPASS", "WRONGPASS", false},
		{"unknown user", redis.NewClient(as("guest", "guess")), "WRONGPASS", "WRONGPASS", false},
		{"without a password", redis.NewClient(recommended.Redis(locked.Addr())), "NOAUTH", "NOAUTH", false},
		{"a user who may not run scripts", redis.NewClient(as("reader", "secret")), "NOPERM", "NOPERM", false},
		{"a user of another prefix", redis.NewClient(as("stranger", "secret")), "NOPERM", "NOPERM", false},
		{"single server down", redis.NewClient(recommended.Redis(nobody)), "connection refused", "connection refused", true},
		{"sentinels down", redis.NewFailoverClient(recommended.Sentinel([]string{nobody}, "concord")),
			"connection refused", "connection refused", true},
		{"cluster down", redis.NewClusterClient(recommended.Cluster([]string{nobody})), "connection refused", "connection refused", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.later { // it mostly waits
				t.Parallel()
			}
			be := newBackend(t, c.client, 0)
			locks, err := lock.New(be.Leases(), &lock.Options{TTL: 3 * time.Second, Hooks: &lock.Hooks{}})
			if err != nil {
				t.Fatal(err)
			}
			ends(t, func(ctx context.Context) error {
				return errors.Join(locks.Close(ctx), be.Close(ctx), c.client.Close())
			})
			start := time.Now()
			_, err = locks.Acquire(t.Context(), "k")
			took := time.Since(start)
			start = time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			checked := be.Check(ctx)
			tookCheck := time.Since(start)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, lock.ErrUnavailable) != c.later {
				t.Errorf("acquire: %v, want %q, unavailable %t", err, c.want, c.later)
			}
			if checked == nil || !strings.Contains(checked.Error(), c.checked) {
				t.Errorf("check: %v, want %q", checked, c.checked)
			}
			most := slack
			if c.later { // the TTL, and one attempt
				most += 3*time.Second + 500*time.Millisecond
			}
			if took > most || tookCheck > most {
				t.Errorf("acquire took %v, check %v", took, tookCheck)
			}
			t.Logf("acquire, %v: %v", round(took), err)
			t.Logf("check, %v: %v", round(tookCheck), checked)
		})
	}
}

func TestTTLBelowTheMinimumOnRedis(t *testing.T) {
	client := redis.NewClient(recommended.Redis(nobody))
	be := newBackend(t, client, 0)
	ends(t, func(ctx context.Context) error { return errors.Join(be.Close(ctx), client.Close()) })
	var invalid *lock.InvalidError
	_, err := lock.New(be.Leases(), &lock.Options{TTL: 50 * time.Millisecond})
	if !errors.As(err, &invalid) || invalid.Field != "TTL" || !strings.Contains(err.Error(), "100ms") {
		t.Errorf("%v, want the TTL and its limit", err)
	}
}
