package faultnet

import "context"

// Counts say what a [Network] has passed on and what its faults have hit since it was made.
type Counts struct {
	Connections int // that were made
	Open        int // that are not closed yet, a number of the moment
	Refused     int // that were not made, by Cut
	Cut         int // that were closed, by Cut
	HalfOpen    int // that lost their other end, by HalfOpen
	Reset       int // that were reset, by the method Reset

	// Requests and Replies count for each direction.
	Requests, Replies Traffic
}

// Traffic is the part of [Counts] for one direction.
type Traffic struct {
	Chunks, Bytes int // that arrived

	Late      int // chunks that were delayed
	Stalled   int // chunks that were held back by Stall, ends of connections included
	Lost      int // connections that began to lose what is sent, by Lose
	LostBytes int // that were swallowed, by Lose or HalfOpen
	Resets    int // connections that were reset, by the rate Reset
}

func (c *Counts) of(d direction) *Traffic {
	if d == requests {
		return &c.Requests
	}
	return &c.Replies
}

// Counts returns the counts up to now.
func (n *Network) Counts() Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts
}

// Await returns nil as soon as reached is true of the counts, or the cause of the end of ctx.
func (n *Network) Await(ctx context.Context, reached func(Counts) bool) error {
	for {
		n.mu.Lock()
		counts, counted := n.counts, n.counted
		n.mu.Unlock()
		if reached(counts) {
			return nil
		}
		select {
		case <-counted:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// count changes the counts and wakes those who await a change.
func (n *Network) count(change func(*Counts)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.countLocked(change)
}

func (n *Network) countLocked(change func(*Counts)) {
	change(&n.counts)
	close(n.counted)
	n.counted = make(chan struct{})
}
