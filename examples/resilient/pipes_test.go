package main

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// network is one of pipes, on which time can be virtual.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

func (n *network) listen() (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{addr: fmt.Sprintf("server-%d:80", len(n.listeners)), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[l.addr] = l
	return l, nil
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listener accepts one end of each pipe.
type listener struct {
	addr   string
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return l }

func (l *listener) Network() string { return "pipe" }

func (l *listener) String() string { return l.addr }
