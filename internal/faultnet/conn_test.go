package faultnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPassesEverythingInOrder(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		const size = 4 * window
		there, back := make([]byte, size), make([]byte, size)
		dice := rand.New(rand.NewPCG(1, 1))
		for i := range size {
			there[i], back[i] = byte(dice.Uint32()), byte(dice.Uint32())
		}
		var wg sync.WaitGroup
		send := func(from, to *end, b []byte) {
			wg.Go(func() {
				if _, err := from.Write(b); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				to.within(eventually)
				got := make([]byte, len(b))
				if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%v, or the bytes differ", err)
				}
			})
		}
		send(client, server, there)
		send(server, client, back)
		wg.Wait()
		if n := r.Counts(); n.Requests.Bytes != size || n.Replies.Bytes != size {
			t.Errorf("counts %+v, want %d bytes in each direction", n, size)
		}
		client.close()
		server.ends(io.EOF)
		server.close()
		r.await("it is closed", func(c Counts) bool { return c.Open == 0 })
	})
}

func TestServerClosesFirst(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		server.says("bye")
		if err := server.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		client.hears("bye")
		client.ends(io.EOF)
		client.says("still listening?") // it is closed in one direction only
		server.hears("still listening?")
		client.close()
		server.ends(io.EOF)
	})
}

func TestServerResets(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		if err := server.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		server.close()
		client.ends(syscall.ECONNRESET)
	})
}

// Who only writes is told as well that the server is gone, without a read that says so.
func TestWriterIsTold(t *testing.T) {
	for name, linger := range map[string]int{"after a reset": 0, "after a close": -1} {
		t.Run(name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, r *rig) {
				client, server := r.connect()
				if err := server.Conn.(*net.TCPConn).SetLinger(linger); err != nil {
					t.Fatal(err)
				}
				server.close()
				if linger != 0 {
					client.ends(io.EOF)
				}
				for give := time.Now().Add(eventually); ; time.Sleep(time.Millisecond) {
					if _, err := client.Write([]byte("x")); err != nil {
						return
					} else if time.Now().After(give) {
						t.Fatal("writes to a broken connection succeed")
					}
				}
			})
		})
	}
}

func TestClientResets(t *testing.T) {
	r, _ := proxied(t)
	client, server := r.connect()
	if err := client.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.close()
	server.ends(syscall.ECONNRESET)
}

// inBubble runs a test in virtual time, with a connection on which nothing can be read, nor written
// since its window is full.
func inBubble(t *testing.T, test func(t *testing.T, n *Network, client, server *end)) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		n.Set(Rules{Requests: Faults{Stall: true}, Replies: Faults{Stall: true}})
		inner, server := net.Pipe()
		defer server.Close()
		client, err := n.Wrap(inner)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write(make([]byte, window)); err != nil {
			t.Fatal(err)
		}
		test(t, n, &end{client, t}, &end{server, t})
	})
}

func TestDeadlinesHoldWhileAFaultBlocks(t *testing.T) {
	for name, do := range map[string]func(net.Conn) (int, error){
		"read":  func(c net.Conn) (int, error) { return c.Read(make([]byte, 1)) },
		"write": func(c net.Conn) (int, error) { return c.Write(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *Network, client, _ *end) {
				start := time.Now()
				if err := client.SetDeadline(start.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				n, err := do(client)
				var timeout net.Error
				if n != 0 || !isError(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%d, %v, want the deadline", n, err)
				}
				if d := time.Since(start); d != time.Hour {
					t.Errorf("returned after %v, want 1h", d)
				}
				past := func() error { return client.SetDeadline(start) }
				interrupted(t, client, do, past, os.ErrDeadlineExceeded)
				interrupted(t, client, do, client.Close, net.ErrClosed)
			})
		})
	}
}

// interrupted interrupts an operation that waits without a deadline.
func interrupted(t *testing.T, c *end, do func(net.Conn) (int, error), interrupt func() error, want error) {
	t.Helper()
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := do(c)
		result <- err
	}()
	synctest.Wait()
	if err := interrupt(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !isError(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func TestWriteGoesOnWhenThereIsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Network, client, server *end) {
		result := make(chan error, 1)
		go func() {
			_, err := client.Write([]byte("more"))
			result <- err
		}()
		synctest.Wait()
		n.Heal()
		server.hears(string(make([]byte, window)) + "more")
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// slow is a connection whose reads return some time after it was closed.
type slow struct {
	net.Conn
	by time.Duration
}

func (s slow) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	time.Sleep(s.by)
	return n, err
}

func TestCloseWaitsForItsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		inner, server := net.Pipe()
		defer server.Close()
		if _, err := n.Wrap(slow{inner, time.Hour}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		n.Close()
		if d := time.Since(start); d != time.Hour {
			t.Errorf("Close returned after %v, want 1h", d)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	for name, rules := range map[string]Rules{
		"no fault":  {},
		"latency":   {Requests: Faults{Latency: time.Hour}, Replies: Faults{Latency: time.Hour}},
		"stall":     {Requests: Faults{Stall: true}, Replies: Faults{Stall: true}},
		"lost":      {Requests: Faults{Lose: 1}, Replies: Faults{Lose: 1}},
		"half-open": {HalfOpen: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, r *rig) {
				client, server := r.connect()
				r.Set(rules)
				client.says("x")
				server.says("y")
				left, _ := r.connect()
				left.says("z")
				left.close()
				r.Close()
				server.Close()
				client.within(eventually)
				_, err := io.Copy(io.Discard, client)
				if isError(err, os.ErrDeadlineExceeded) || !r.proxied && !isError(err, net.ErrClosed) {
					t.Errorf("read after Close: %v", err)
				}
				if n := r.Counts().Open; n != 0 {
					t.Errorf("%d connections are open", n)
				}
				if _, err := r.dial(); err == nil {
					t.Error("a connection was made after Close")
				}
				r.Close() // again
			})
		})
	}
}

func TestNoProxyAfterClose(t *testing.T) {
	n := New(1)
	n.Close()
	if _, err := n.Proxy("127.0.0.1:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
}

func TestDialFails(t *testing.T) {
	r := newRig(t, 1)
	addr := r.listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.DialAddr(ctx, addr); err == nil {
		t.Error("dialled with a ctx that has ended")
	}
	if n := r.Counts().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	n := New(1)
	defer n.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := n.Await(ctx, func(Counts) bool { return false }); err != cause {
		t.Errorf("%v, want the cause", err)
	}
}
