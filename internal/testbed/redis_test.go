package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// must returns the reply of a command that has to succeed.
func must(t *testing.T, r *Redis, args ...string) string {
	t.Helper()
	reply, err := r.Command(args...)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return reply
}

func TestRedisAnswers(t *testing.T) {
	r := StartRedis(t, nil)
	must(t, r, "SET", "k", "two words\r\n")
	if got := must(t, r, "GET", "k"); got != "two words\r\n" {
		t.Errorf("GET k = %q", got)
	}
	must(t, r, "RPUSH", "list", "a", "b")
	if got := must(t, r, "LRANGE", "list", "0", "-1"); got != "a\nb" {
		t.Errorf("LRANGE = %q, want one line an element", got)
	}
	if got := must(t, r, "GET", "absent"); got != "" {
		t.Errorf("GET absent = %q", got)
	}
	if _, err := r.Command("HGET", "k", "f"); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		t.Errorf("HGET on a string: %v, want the server's WRONGTYPE", err)
	}
	info, err := r.Info("server")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckRedisVersion(info["redis_version"]); err != nil {
		t.Error(err)
	}
}

func TestRedisExtraArgsWin(t *testing.T) {
	r := StartRedis(t, &RedisOptions{Args: []string{"--appendonly", "yes", "--maxmemory", "64mb"}})
	if got := must(t, r, "CONFIG", "GET", "appendonly"); got != "appendonly\nyes" {
		t.Errorf("CONFIG GET appendonly = %q", got)
	}
	if got := must(t, r, "CONFIG", "GET", "maxmemory"); got != "maxmemory\n67108864" {
		t.Errorf("CONFIG GET maxmemory = %q", got)
	}
}

func TestRedisKillAndRestart(t *testing.T) {
	for _, appendOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("AppendOnly=%t", appendOnly), func(t *testing.T) {
			r := StartRedis(t, &RedisOptions{AppendOnly: appendOnly})
			addr := r.Addr()
			must(t, r, "SET", "k", "v")

			r.Kill()
			r.Kill() // of a server that is down: nothing
			if _, err := r.Command("PING"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("PING after Kill: %v, want a refused connection", err)
			}
			if err := r.Restart(); err != nil {
				t.Fatal(err)
			}
			if r.Addr() != addr {
				t.Errorf("address changed from %s to %s", addr, r.Addr())
			}
			want := "0"
			if appendOnly {
				want = "1"
			}
			if got := must(t, r, "EXISTS", "k"); got != want {
				t.Errorf("EXISTS k after kill and restart = %s, want %s", got, want)
			}
		})
	}
}

func TestRedisRestartOfARunningServer(t *testing.T) {
	r := StartRedis(t, &RedisOptions{AppendOnly: true})
	must(t, r, "SET", "k", "v")
	before := r.proc.pid()
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	if r.proc.pid() == before {
		t.Error("the same process runs after Restart")
	}
	if got := must(t, r, "GET", "k"); got != "v" {
		t.Errorf("GET k = %q", got)
	}
}

func TestRedisDirIsKept(t *testing.T) {
	opts := &RedisOptions{AppendOnly: true, Dir: t.TempDir()}
	first := StartRedis(t, opts)
	must(t, first, "SET", "k", "v")
	first.Stop()
	second := StartRedis(t, opts)
	if got := must(t, second, "GET", "k"); got != "v" {
		t.Errorf("GET k on a new server in the same directory = %q", got)
	}
}

func TestRedisPauseAndResume(t *testing.T) {
	r := StartRedis(t, nil)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.Addr()) // the kernel accepts it
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, len("+PONG\r\n"))
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(reply); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused server sent %q, %v", reply[:n], err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(commandTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != "+PONG\r\n" {
		t.Errorf("after Resume: %q, %v, want the answer to the PING sent before", reply, err)
	}
}

func TestRedisPauseOfADeadServer(t *testing.T) {
	r := StartRedis(t, nil)
	r.Stop()
	if err := r.Pause(); err == nil {
		t.Error("no error")
	}
}

func TestRedisStopsWhilePaused(t *testing.T) {
	r := StartRedis(t, nil)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.Stop()
	if took := time.Since(start); took >= stopGrace {
		t.Errorf("Stop took %v, so the server was killed", took)
	}
}

func TestRedisLeavesNoProcess(t *testing.T) {
	var pid int
	t.Run("server", func(t *testing.T) {
		r := StartRedis(t, nil)
		pid = r.proc.pid()
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatal("not running")
		}
	})
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after the test: %v, want none", pid, err)
	}
}

func TestRedisPortTaken(t *testing.T) {
	r := StartRedis(t, nil)
	r.Stop()
	l, err := net.Listen("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := r.Restart(); !errors.Is(err, errPortTaken) {
		t.Errorf("Restart on a taken port: %v", err)
	}
	if r.proc.running() {
		t.Error("a process is left after the failure")
	}
}

func TestRedisBadArgument(t *testing.T) {
	_, err := LaunchRedis(context.Background(), t.TempDir(), &RedisOptions{Args: []string{"--no-such-setting", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %v does not show what the server said", err)
	}
}

// TestRedisDiesWithTheTestProcess runs this test binary again, which starts a server and kills
// itself. The kernel then ends the server, on Linux only.
func TestRedisDiesWithTheTestProcess(t *testing.T) {
	const childEnv = "TESTBED_CHILD"
	if os.Getenv(childEnv) != "" {
		r := StartRedis(t, nil)
		fmt.Println("server:" + r.Addr())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if diesWithParent() == nil {
		t.Skip("only Linux ends a child with its parent")
	}
	StartRedis(t, nil) // skips here where there is no redis-server
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+t.TempDir())
	out, _ := cmd.Output() // it ends by a signal
	_, addr, found := strings.Cut(string(out), "server:")
	if !found {
		t.Fatalf("the child printed %q", out)
	}
	addr = strings.TrimSpace(addr)
	for end := time.Now().Add(commandTimeout); ; time.Sleep(readyPoll) {
		if _, err := Command(addr, "PING"); errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server at %s outlived the process that started it", addr)
		}
	}
}
