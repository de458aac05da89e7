package faultnet

import (
	"context"
	"net"
)

// DialContext connects to addr through the network. It has the form of [net.Dialer.DialContext]
// and of the Dialer of go-redis.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := n.admit(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: target{network, addr}, Err: err}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return n.Wrap(c)
}

// DialAddr connects to addr by TCP through the network. It has the form of grpc.WithContextDialer.
func (n *Network) DialAddr(ctx context.Context, addr string) (net.Conn, error) {
	return n.DialContext(ctx, "tcp", addr)
}

// Wrap puts the network in front of a connection, which it owns from then on, and returns the
// client's end. Under Cut, and after Close, it closes c and returns an error.
//
// To close the client's end closes c when what was written before has arrived there. Only a
// [*net.TCPConn] can be reset; another is closed instead.
func (n *Network) Wrap(c net.Conn) (net.Conn, error) {
	l := newLink(n, c, nil)
	if err := n.join(l); err != nil {
		c.Close()
		return nil, &net.OpError{Op: "dial", Net: c.RemoteAddr().Network(), Addr: c.RemoteAddr(), Err: err}
	}
	return &conn{link: l}, nil
}

// target is an address that was not reached.
type target struct{ network, addr string }

// Network is the network of the address.
func (t target) Network() string { return t.network }

// String is the address as it was given.
func (t target) String() string { return t.addr }
