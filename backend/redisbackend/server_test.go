package redisbackend

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// ownServer starts a server for this test alone, to be mistreated.
func ownServer(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redisbackend: redis-server is not installed")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	cmd := exec.Command(binary, append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	client := redis.NewClient(clientOptions(addr))
	defer func() { _ = client.Close() }()
	eventually(t, "the server answers", func() bool { return client.Ping(context.Background()).Err() == nil })
	return addr
}

// hook stands between client and server. It counts scripts, and lets a test do something instead.
type hook struct {
	scripts atomic.Int64 // evalsha
	sources atomic.Int64 // eval
	others  atomic.Int64
	mu      sync.Mutex
	instead func(ctx context.Context, cmd redis.Cmder, next func() error) error
}

func (h *hook) set(instead func(ctx context.Context, cmd redis.Cmder, next func() error) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.instead = instead
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "evalsha":
			h.scripts.Add(1)
		case "eval":
			h.sources.Add(1)
		default:
			h.others.Add(1)
		}
		h.mu.Lock()
		instead := h.instead
		h.mu.Unlock()
		if instead != nil && cmd.Name() != "hello" {
			return instead(ctx, cmd, func() error { return next(ctx, cmd) })
		}
		return next(ctx, cmd)
	}
}

// take returns how many commands there were since the last call.
func (h *hook) take() (scripts, sources, others int64) {
	return h.scripts.Swap(0), h.sources.Swap(0), h.others.Swap(0)
}

// only passes everything on but the given script, which f handles.
func only(s *script, f func(ctx context.Context, cmd redis.Cmder, next func() error) error) func(context.Context, redis.Cmder, func() error) error {
	return func(ctx context.Context, cmd redis.Cmder, next func() error) error {
		if args := cmd.Args(); len(args) > 1 && args[1] == s.digest {
			return f(ctx, cmd, next)
		}
		return next()
	}
}

// late delays a command past the deadline of its ctx and sends it all the same.
func late(t *testing.T, by time.Duration) func(context.Context, redis.Cmder, func() error) error {
	return func(ctx context.Context, cmd redis.Cmder, next func() error) error {
		deadline, ok := ctx.Deadline()
		if !ok {
			t.Error("no deadline")
		}
		time.Sleep(time.Until(deadline) + by)
		return next()
	}
}
