package lock

import "github.com/concord-go/concord/fence"

// Lease is a held lock: nobody else has the key. Leases come from a [Locker]; the zero Lease is
// not usable. Its methods may be called by several goroutines.
type Lease struct{ held }

// Token returns the fencing token of this grant: larger than that of every earlier grant of the
// key, the same for the life of the lease, also after it was lost.
func (l *Lease) Token() fence.Token { return l.hold.Token() }
