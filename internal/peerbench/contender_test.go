package peerbench

import (
	"context"
	"time"
)

// ttl is that of all locks. On etcd Concord rounds it up to 20 s.
const ttl = 15 * time.Second

// contender is one party that takes locks, as a process of its own would be: with its own client.
type contender interface {
	// with runs fn under the lock of key. fn is not run if the error is of the acquire.
	with(ctx context.Context, key string, fn func()) error
	close() error
}

// kind is a way to lock that takes part.
type kind struct {
	name string
	open func(s server) (contender, error)
}

// patience is far more than any turn takes.
const patience = 2 * time.Minute

// patiently ends the process when a turn of k does not end: go test puts no time limit on
// benchmarks, and not every turn has a context that could end it.
func patiently(k kind, turn func()) {
	stuck := time.AfterFunc(patience, func() { panic("peerbench: " + k.name + " is stuck") })
	defer stuck.Stop()
	turn()
}
