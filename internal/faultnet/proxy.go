package faultnet

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Proxy is a loopback port through which clients reach a server over a [Network]. It is made by
// [Network.Proxy], ends with its network, and keeps its address until then. All methods may be
// called from any goroutine.
type Proxy struct {
	network  *Network
	listener *net.TCPListener

	mu     sync.Mutex
	target string
}

// Proxy opens a port in front of the server at target, host and port. The server need not be there
// yet: while it cannot be reached, connections to the proxy are reset.
func (n *Network) Proxy(target string) (*Proxy, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &Proxy{network: n, listener: listener, target: target}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errors.Join(net.ErrClosed, listener.Close())
	}
	n.listeners = append(n.listeners, listener)
	n.running.Go(p.accept)
	return p, nil
}

// Addr returns host and port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget leads connections that come from now on to another server.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// accept runs until the network is closed.
func (p *Proxy) accept() {
	n := p.network
	for {
		client, err := p.listener.AcceptTCP()
		switch {
		case err == nil:
			n.running.Go(func() { p.serve(client) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of files, or the client is gone already
			select {
			case <-n.ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// serve connects a client to the target, or resets it.
func (p *Proxy) serve(client *net.TCPConn) {
	if err := p.connect(client); err != nil {
		_ = client.SetLinger(0) // if this or the next fails, the client is gone
		_ = client.Close()
	}
}

func (p *Proxy) connect(client *net.TCPConn) error {
	if err := p.network.admit(); err != nil {
		return err
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	var d net.Dialer
	server, err := d.DialContext(p.network.ctx, "tcp", target)
	if err != nil {
		return err
	}
	if err := p.network.join(newLink(p.network, server, client)); err != nil {
		server.Close()
		return err
	}
	return nil
}
