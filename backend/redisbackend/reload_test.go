package redisbackend

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// deadCluster is a cluster whose nodes answer with an error.
type deadCluster struct {
	*redis.ClusterClient
	err     error
	reloads atomic.Int64
}

func (c *deadCluster) Process(_ context.Context, cmd redis.Cmder) error {
	cmd.SetErr(c.err)
	return c.err
}

func (c *deadCluster) ReloadState(context.Context) { c.reloads.Add(1) }

// The library looks for the heir of a node that is gone only when it may send a command again,
// which it may not with ours.
func TestUnansweredCallLooksForTheHeir(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	for _, c := range []struct {
		err  error
		want int64
	}{
		{io.EOF, 1},
		{context.DeadlineExceeded, 1},
		{context.Canceled, 0},
		{serverError("OOM command not allowed"), 0}, // it is an answer
	} {
		dead := &deadCluster{ClusterClient: client, err: c.err}
		be, err := New(dead, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := be.do(t.Context(), "time"); !errors.Is(err, c.err) {
			t.Errorf("%v, want %v", err, c.err)
		}
		if n := dead.reloads.Load(); n != c.want {
			t.Errorf("%v: looked %d times, want %d", c.err, n, c.want)
		}
		if err := be.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
