package faultnet

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
)

// Network is a set of connections with the same faults. Make one with [New]; the zero value is not
// usable. All methods may be called from any goroutine.
type Network struct {
	seed   uint64
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	setting sync.Mutex // held by Set, so that all connections see rules in the same order

	mu        sync.Mutex // taken last, also by holders of a link's
	rules     Rules
	links     map[*link]bool // those that are open
	listeners []net.Listener
	counts    Counts
	counted   chan struct{} // closed when counts change
	closed    bool

	running sync.WaitGroup
}

// New returns a network without faults, whose dice follow from seed. The caller must call Close.
func New(seed uint64) *Network {
	ctx, cancel := context.WithCancel(context.Background())
	return &Network{
		seed:    seed,
		ctx:     ctx,
		cancel:  cancel,
		links:   make(map[*link]bool),
		counted: make(chan struct{}),
	}
}

// Seed returns the seed of New.
func (n *Network) Seed() uint64 { return n.seed }

// Set replaces the rules, for the connections that there are and those to come. They are in force
// when it returns, except for a chunk that is being handed over at that very moment.
func (n *Network) Set(r Rules) {
	n.setting.Lock()
	defer n.setting.Unlock()
	n.mu.Lock()
	n.rules = r
	links := n.openLocked()
	n.mu.Unlock()
	for _, l := range links {
		l.obey(r)
	}
}

// Heal lifts all rules. What was held back arrives; what was lost stays lost.
func (n *Network) Heal() { n.Set(Rules{}) }

// Reset ends every connection that there is with a reset (RST) and returns how many there were.
// What was under way is lost.
func (n *Network) Reset() int {
	n.mu.Lock()
	links := n.openLocked()
	n.mu.Unlock()
	reset := 0
	for _, l := range links {
		if l.reset() {
			reset++
		}
	}
	return reset
}

// Close ends all proxies and connections, drops what was under way, and returns when every
// goroutine of the network has ended. It may be called again.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	links, listeners := n.openLocked(), n.listeners
	n.mu.Unlock()
	n.cancel()
	for _, l := range listeners {
		l.Close()
	}
	for _, l := range links {
		l.close()
	}
	n.running.Wait()
}

func (n *Network) openLocked() []*link { return slices.Collect(maps.Keys(n.links)) }

// admit returns why no connection can be made now, or nil.
func (n *Network) admit() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.admitLocked()
}

func (n *Network) admitLocked() error {
	switch {
	case n.closed:
		return net.ErrClosed
	case n.rules.Cut:
		n.countLocked(func(c *Counts) { c.Refused++ })
		return os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	return nil
}

// join makes a link a part of the network and starts its goroutines.
func (n *Network) join(l *link) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.admitLocked(); err != nil {
		return err
	}
	n.countLocked(func(c *Counts) {
		c.Connections++
		c.Open++
		if n.rules.HalfOpen {
			c.HalfOpen++
		}
	})
	l.rules, l.halfOpen = n.rules, n.rules.HalfOpen
	for d := range l.flows {
		l.flows[d].dice = newDice(n.seed, n.counts.Connections, direction(d))
	}
	n.links[l] = true
	n.running.Go(func() { l.drain(requests, l.server) })
	n.running.Go(func() { l.fill(replies, l.server) })
	if l.client != nil {
		n.running.Go(func() { l.fill(requests, l.client) })
		n.running.Go(func() { l.drain(replies, l.client) })
	}
	return nil
}

// leave forgets a link that has ended.
func (n *Network) leave(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
	n.countLocked(func(c *Counts) { c.Open-- })
}
