package peerbench

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// rueidisLock is set up as its own documentation says for one server of version 7.0.5 or later, but
// for tryNextAfter.
var rueidisLock = kind{name: "rueidislock", open: openRueidislock}

// tryNextAfter is how long a server may take to answer before it is passed over for the next. There
// is no next one here, and with the default of 20 ms a busy machine makes the only contender give its
// key back and sleep until somebody else releases it.
const tryNextAfter = 5 * time.Second

type rueidisLocker struct{ locks rueidislock.Locker }

func openRueidislock(s server) (contender, error) {
	locks, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: s.addrs},
		KeyPrefix:      s.prefix,
		KeyValidity:    ttl,
		KeyMajority:    1,
		NoLoopTracking: true,
		TryNextAfter:   tryNextAfter,
	})
	if err != nil {
		return nil, err
	}
	return rueidisLocker{locks}, nil
}

func (c rueidisLocker) with(ctx context.Context, key string, fn func()) error {
	_, release, err := c.locks.WithContext(ctx, key)
	if err != nil {
		return err
	}
	fn()
	release() // waits for the answer
	return nil
}

func (c rueidisLocker) close() error {
	c.locks.Close()
	return nil
}
