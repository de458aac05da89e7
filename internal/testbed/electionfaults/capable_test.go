package electionfaults

import (
	"testing"

	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/lease"
)

func priorities(c lease.Capabilities) bool { return c.Priority }
func transfers(c lease.Capabilities) bool  { return c.Transfer }
func announces(c lease.Capabilities) bool  { return c.Announce }

// can reports whether an engine can do something.
func can(t *testing.T, s stores.Store, what func(lease.Capabilities) bool) bool {
	t.Helper()
	n, err := stores.Connect(s, nil)
	suite.Must(t, err)
	suite.Ends(t, n.End)
	return what(n.Leases().Capabilities())
}

// needs skips a test on an engine that cannot do what it is about.
func needs(t *testing.T, s stores.Store, name string, what func(lease.Capabilities) bool) {
	t.Helper()
	if !can(t, s, what) {
		t.Skipf("%v: this engine has no %s", s, name)
	}
}
