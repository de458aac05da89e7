package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

func TestErrorsAreSorted(t *testing.T) {
	server := func(s string) error { return serverError(s) }
	for _, c := range []struct {
		err         error
		unavailable bool
	}{
		{server("LOADING Redis is loading the dataset in memory"), true},
		{server("READONLY You can't write against a read only replica. script: x"), true},
		{server("NOREPLICAS Not enough good replicas to write."), true},
		{server("MISCONF Redis is configured to save RDB snapshots"), true},
		{server("CLUSTERDOWN Hash slot not served"), true},
		{server("TRYAGAIN Multiple keys request during rehashing of slot"), true},
		{server("BUSY Redis is busy running a script."), true},
		{server("OOM command not allowed when used memory > 'maxmemory'."), true},
		{server("MASTERDOWN Link with MASTER is down"), true},
		{server("ERR max number of clients reached"), true},
		{io.EOF, true},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true},
		{os.ErrDeadlineExceeded, true},
		{redis.ErrPoolTimeout, true},
		{redis.ErrPoolExhausted, true},
		{context.Canceled, true},
		{context.DeadlineExceeded, true},
		{errStale, true},
		{server("WRONGTYPE Operation against a key holding the wrong kind of value"), false},
		{server("NOAUTH Authentication required."), false},
		{server("WRONGPASS invalid username-password pair"), false},
		{server("NOPERM this user has no permissions to run the 'eval' command"), false},
		{server("ERR unknown command 'EVALSHA'"), false},
		{server("MOVED 1 127.0.0.1:7001"), true},
		{fmt.Errorf("%w: %w", errIsCluster, server("MOVED 1 127.0.0.1:7001")), false},
		{fmt.Errorf("%w: %w", errNotCluster, server("ERR "+notCluster)), false},
		{fmt.Errorf("%w: %w", errNoData, server("ERR "+noTime)), false},
		{errNoPrimary, false},
		{&ReplicasError{Want: 1}, true},
		{redis.ErrClosed, false},
		{malformed("x"), false},
		{unsupported("limit 2"), false},
		{lease.ErrClosed, false},
		{errors.New("redis: can't marshal struct {} (implement encoding.BinaryMarshaler)"), false},
	} {
		err := fail(context.Background(), "acquire", c.err)
		if errors.Is(err, lease.ErrUnavailable) != c.unavailable {
			t.Errorf("%v: unavailable is %t", err, !c.unavailable)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%v: the cause is not reachable", err)
		}
	}
}

func TestErrorsMatchTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := fail(ctx, "acquire", io.EOF)
	for _, want := range []error{context.Canceled, io.EOF, lease.ErrUnavailable} {
		if !errors.Is(err, want) {
			t.Errorf("%v does not match %v", err, want)
		}
	}
}

func TestErrorsReachTheClientLibrary(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1})
	defer func() { _ = client.Close() }()
	be := open(t, client, &Options{Prefix: "test"})
	_, err := be.Leases().Acquire(within(t, 2e9), claim("k"))
	var op *net.OpError
	if !errors.Is(err, lease.ErrUnavailable) || !errors.As(err, &op) {
		t.Errorf("a server that is not there: %v", err)
	}
}

// That the Sentinels do not know a name is not an absent value, and so not a mark of zero.
func TestUnknownPrimaryIsNoAbsentValue(t *testing.T) {
	client := redis.NewClient(&redis.Options{
		DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			return nil, fmt.Errorf("redis: all sentinels specified in configuration are unreachable: %w", errors.Join(redis.Nil))
		},
	})
	defer func() { _ = client.Close() }()
	be := open(t, client, &Options{Prefix: "test"})
	if mark, err := be.Fences().Mark(within(t, 2e9), "data"); !errors.Is(err, errNoPrimary) {
		t.Errorf("mark %v, %v", mark, err)
	}
	if err := be.Check(within(t, 2e9)); err == nil || errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
}
