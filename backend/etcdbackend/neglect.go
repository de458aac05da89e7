package etcdbackend

import (
	"time"

	"github.com/concord-go/concord/lease"
)

// promise notes that the owner of a claim is told that it lives for another while, and returns
// the end of that.
func (c *claim) promise(left time.Duration) time.Time {
	end := time.Now().Add(left)
	if end.After(c.trust) {
		c.trust = end
	}
	return end
}

// grant is the event that tells the owner of a claim that it is granted.
func (c *claim) grant() lease.Event {
	return lease.Event{Kind: lease.EventGranted, Token: c.token(), Until: c.promise(c.lives())}
}

// endNeglected releases the claims that their owners have not asked about for as long as they were
// told that they live. An owner may have given up a claim while no renewal came through, and the
// shared lease, which came to life again after that, would keep it for ever.
func (b *Backend) endNeglected(now time.Time) {
	var over []lease.Release
	b.table.update(func(out *outbox) {
		for _, c := range b.table.claims {
			if c.there() && c.asking == 0 && !c.releasing && now.After(c.trust) {
				c.state = ended // what has ended does not come back, should the owner ask after all
				out.tell(c, checkNow)
				over = append(over, lease.Release{Key: c.key, Attempt: c.attempt, Unclean: true})
			}
		}
	})
	for _, r := range over {
		b.janitor.add(r)
	}
}
