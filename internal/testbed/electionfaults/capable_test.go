package electionfaults

import (
	"testing"

	"github.com/concord-go/concord/lease"
)

func priorities(c lease.Capabilities) bool { return c.Priority }
func transfers(c lease.Capabilities) bool  { return c.Transfer }
func announces(c lease.Capabilities) bool  { return c.Announce }

// can reports whether an engine can do something.
func can(t *testing.T, s store, what func(lease.Capabilities) bool) bool {
	t.Helper()
	n, err := connect(s, nil)
	must(t, err)
	ends(t, n.end)
	return what(n.leases.Capabilities())
}

// needs skips a test on an engine that cannot do what it is about.
func needs(t *testing.T, s store, name string, what func(lease.Capabilities) bool) {
	t.Helper()
	if !can(t, s, what) {
		t.Skipf("%v: this engine has no %s", s, name)
	}
}
