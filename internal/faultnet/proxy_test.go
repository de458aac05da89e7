package faultnet

import "testing"

func TestProxyFollowsItsTarget(t *testing.T) {
	r, p := proxied(t)
	other := newRig(t, 1)
	other.Network, other.dial = r.Network, r.dial // another server behind the same proxy
	client, server := r.connect()

	p.SetTarget(other.listener.Addr().String())
	client.says("stays") // where it is
	server.hears("stays")
	client, server = other.connect()
	client.says("moved")
	server.hears("moved")

	other.listener.Close()
	r.refused()

	p.SetTarget(r.listener.Addr().String())
	client, server = r.connect()
	client.says("back")
	server.hears("back")
	if n := r.Counts().Connections; n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}
