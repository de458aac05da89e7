package faultnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	// eventually bounds the wait for what must happen.
	eventually = 20 * time.Second

	// moment is how long a test waits for what must not happen, and is kept back by a fault that it
	// has seen to be in force: too short a wait could only miss a failure.
	moment = 10 * time.Millisecond
)

// rig is a network in front of a server that the test plays itself.
type rig struct {
	*Network
	t        *testing.T
	listener net.Listener
	dial     func() (net.Conn, error) // through the network
	proxied  bool
}

// eachForm runs a test on dialled connections and on those of a proxy.
func eachForm(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("dialled", func(t *testing.T) { test(t, dialled(t, 1)) })
	t.Run("proxied", func(t *testing.T) {
		r, _ := proxied(t)
		test(t, r)
	})
}

func dialled(t *testing.T, seed uint64) *rig {
	r := newRig(t, seed)
	r.dial = func() (net.Conn, error) { return r.DialAddr(t.Context(), r.listener.Addr().String()) }
	return r
}

func proxied(t *testing.T) (*rig, *Proxy) {
	r := newRig(t, 1)
	p, err := r.Proxy(r.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.proxied = true
	r.dial = func() (net.Conn, error) { return net.Dial("tcp", p.Addr()) }
	return r, p
}

func newRig(t *testing.T, seed uint64) *rig {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := New(seed)
	t.Cleanup(func() {
		l.Close()
		n.Close()
		if open := n.Counts().Open; open != 0 {
			t.Errorf("%d connections are open after Close", open)
		}
	})
	return &rig{Network: n, t: t, listener: l}
}

// connect returns both ends of a new connection.
func (r *rig) connect() (client, server *end) {
	r.t.Helper()
	before := r.Counts().Connections
	c, err := r.dial()
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := r.listener.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.await("both ends are connected", func(c Counts) bool { return c.Connections > before })
	r.t.Cleanup(func() { c.Close(); s.Close() })
	return &end{c, r.t}, &end{s, r.t}
}

// refused makes a connection that must come to nothing.
func (r *rig) refused() {
	r.t.Helper()
	c, err := r.dial()
	switch {
	case r.proxied && err == nil: // its kernel has accepted it
		(&end{c, r.t}).ends(syscall.ECONNRESET)
		c.Close()
	case r.proxied && errors.Is(err, syscall.ECONNRESET): // while it was being made
	case !isError(err, syscall.ECONNREFUSED):
		r.t.Errorf("dial: %v, want it refused", err)
	}
}

// await returns when reached is true of the counts.
func (r *rig) await(what string, reached func(Counts) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), eventually)
	defer cancel()
	if err := r.Await(ctx, reached); err != nil {
		r.t.Fatalf("%s: %v, counts %+v", what, err, r.Counts())
	}
}

// end is one end of a connection.
type end struct {
	net.Conn
	t *testing.T
}

func (e *end) says(text string) {
	e.t.Helper()
	if n, err := e.Write([]byte(text)); n != len(text) || err != nil {
		e.t.Fatalf("write %q: %d, %v", text, n, err)
	}
}

func (e *end) hears(text string) {
	e.t.Helper()
	e.within(eventually)
	b := make([]byte, len(text))
	if n, err := io.ReadFull(e, b); string(b) != text {
		e.t.Fatalf("read %q, %v, want %q", b[:n], err, text)
	}
}

// ends reads nothing more than the end of the connection: io.EOF, or a reset.
func (e *end) ends(want error) {
	e.t.Helper()
	e.within(eventually)
	b := make([]byte, 100)
	if n, err := e.Read(b); n != 0 || !errors.Is(err, want) {
		e.t.Fatalf("read %q, %v, want %v", b[:n], err, want)
	}
}

// hearsNothing waits a moment for nothing.
func (e *end) hearsNothing() {
	e.t.Helper()
	e.within(moment)
	b := make([]byte, 100)
	if n, err := e.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		e.t.Fatalf("read %q, %v, want nothing", b[:n], err)
	}
}

func isError(err, want error) bool {
	var op *net.OpError
	return errors.As(err, &op) && errors.Is(err, want)
}

func (e *end) within(d time.Duration) {
	e.t.Helper()
	if err := e.SetReadDeadline(time.Now().Add(d)); err != nil {
		e.t.Fatal(err)
	}
}

func (e *end) close() {
	e.t.Helper()
	if err := e.Close(); err != nil {
		e.t.Fatal(err)
	}
}

// expect compares all counts but the number of the moment.
func (r *rig) expect(want Counts) {
	r.t.Helper()
	got := r.Counts()
	got.Open, want.Open = 0, 0
	if got != want {
		r.t.Errorf("counts\n%+v, want\n%+v", got, want)
	}
}
