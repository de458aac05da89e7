package concordgrpc

import (
	"bytes"

	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"

	"github.com/concord-go/concord/membership"
)

// state returns one endpoint for each address that members have, in the order of their IDs, and the
// plain addresses for balancers that know no endpoints. What is known of the member is an attribute of
// the endpoint and not of its address: gRPC makes a new connection when an attribute of the address
// changes.
func state(members []membership.Member) resolver.State {
	var s resolver.State
	seen := make(map[string]bool, len(members))
	for i := range members {
		m := &members[i]
		if m.Addr == "" || seen[m.Addr] {
			continue
		}
		seen[m.Addr] = true
		addr := resolver.Address{Addr: m.Addr}
		e := resolver.Endpoint{Addresses: []resolver.Address{addr}}
		e = weight.Set(e, weight.EndpointInfo{Weight: uint32(m.Weight)}) // at most membership.MaxWeight
		e.Attributes = e.Attributes.WithValue(memberKey{}, described{*m})
		s.Addresses, s.Endpoints = append(s.Addresses, addr), append(s.Endpoints, e)
	}
	return s
}

// MemberOf returns the member that an endpoint was made from, for a balancer that heeds zones or
// metadata. ok is false for an endpoint that is not of a [Resolver], and for one that goes through an
// HTTP proxy. Do not change its Meta.
func MemberOf(e resolver.Endpoint) (m membership.Member, ok bool) {
	d, ok := e.Attributes.Value(memberKey{}).(described)
	return d.Member, ok
}

type memberKey struct{}

// described is a member that attributes can compare.
type described struct{ membership.Member }

// Equal reports whether other describes the same.
func (d described) Equal(other any) bool {
	o, ok := other.(described)
	return ok && d.ID == o.ID && d.Addr == o.Addr && d.Zone == o.Zone && d.Weight == o.Weight && bytes.Equal(d.Meta, o.Meta)
}
