package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func TestWhichErrorsMayPass(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{rpctypes.ErrNoLeader, true},
		{rpctypes.ErrLeaderChanged, true},
		{rpctypes.ErrTimeout, true},
		{rpctypes.ErrTimeoutDueToLeaderFail, true},
		{rpctypes.ErrStopped, true},
		{rpctypes.ErrTooManyRequests, true},
		{rpctypes.ErrNoSpace, true},
		{status.Error(codes.Unavailable, "connection refused"), true},
		{status.Error(codes.Internal, "stream reset"), true},
		{status.Error(codes.DeadlineExceeded, "late"), true},
		{context.DeadlineExceeded, true},
		{context.Canceled, true},
		{io.EOF, true},
		{errUnsettled, true},
		{fmt.Errorf("wrapped: %w", rpctypes.ErrNoLeader), true},

		{rpctypes.ErrPermissionDenied, false},
		{rpctypes.ErrRequestTooLarge, false},
		{rpctypes.ErrTooManyOps, false},
		{rpctypes.ErrDuplicateKey, false},
		{rpctypes.ErrCompacted, false},
		{rpctypes.ErrInvalidAuthToken, false},
		{rpctypes.ErrCorrupt, false},
		{rpctypes.ErrLeaseNotFound, false},
		{status.Error(codes.Canceled, "grpc: the client connection is closing"), false},
		{lease.ErrClosed, false},
		{lease.ErrUnsupported, false},
		{&lease.InvalidError{}, false},
		{&InvalidError{}, false},
		{&fence.FencedError{}, false},
		{malformed([]byte("x")), false},
	} {
		err := fail(context.Background(), "verb", c.err)
		if errors.Is(err, lease.ErrUnavailable) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: unavailable %v, want %v", c.err, !c.want, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	if err := fail(ctx, "verb", rpctypes.ErrNoLeader); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, rpctypes.ErrNoLeader) {
		t.Errorf("%v", err)
	}
}

func TestOptions(t *testing.T) {
	client := &clientv3.Client{}
	for _, prefix := range []string{"", "shop", "/team/shop", "a/1x/b", strings.Repeat("p", 64)} {
		if _, err := New(client, &Options{Prefix: prefix}); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, prefix := range []string{"a b", "é", "a/", "/", "a/1", "a/1/b", "1", strings.Repeat("p", 65)} {
		if _, err := New(client, &Options{Prefix: prefix}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	if _, err := New(nil, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no client: %v", err)
	}
	if _, err := New((*clientv3.Client)(nil), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("nil client: %v", err)
	}
}

func TestLifeline(t *testing.T) {
	now := time.Now()
	l := &lifeline{ttl: 10 * time.Second, t0: now}
	if left := l.left(now.Add(4 * time.Second)); left != 6*time.Second-10*time.Millisecond {
		t.Errorf("left %v", left)
	}
	if l.left(now.Add(10*time.Second)) != 0 || l.left(now) != 0 || l.renewed(now) {
		t.Error("what has ended came back")
	}
	// The wall clock ran on while the monotonic one stood: the process slept.
	slept := &lifeline{ttl: 10 * time.Second, t0: now}
	if left := slept.left(now.Round(0).Add(9 * time.Second)); left > time.Second {
		t.Errorf("left %v", left)
	}
	for ttl, want := range map[time.Duration]int64{1: 2, 2 * time.Second: 2, 2*time.Second + 1: 3, 9 * time.Second: 13, lease.MaxTTL: 86400} {
		if got := classOf(ttl); got != want {
			t.Errorf("class of %v is %d, want %d", ttl, got, want)
		}
	}
}
