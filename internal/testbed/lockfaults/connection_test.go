package lockfaults

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/internal/faultnet"
)

// faults lose and delay the library's own traffic. Scripts and messages travel on connections of
// their own and are counted apart.
type faults struct {
	scripts, messages *faultnet.Network
}

// newFaults returns faults that end with the test, after the clients that it makes from now on.
func newFaults(t *testing.T, seed uint64) *faults {
	f := &faults{scripts: faultnet.New(seed), messages: faultnet.New(seed + 1)}
	t.Cleanup(f.scripts.Close)
	t.Cleanup(f.messages.Close)
	const often, late = 0.02, 30 * time.Millisecond
	f.scripts.Set(faultnet.Rules{
		After:    contains("evalsha"),
		Requests: faultnet.Faults{Reset: often / 2},
		Replies:  faultnet.Faults{Reset: often, Jitter: late, LateRate: often},
	})
	f.messages.Set(faultnet.Rules{
		After:   contains("subscribe"),
		Replies: faultnet.Faults{Reset: often, Jitter: late, LateRate: often},
	})
	return f
}

func contains(word string) func([]byte) bool {
	return func(request []byte) bool { return bytes.Contains(request, []byte(word)) }
}

// on returns the client options with these faults.
func (f *faults) on(o *redis.Options) *redis.Options {
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := f.messages.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return f.scripts.Wrap(c)
	}
	return o
}

// hits says what has happened. In the place of a lost reply or message the connection was reset.
func (f *faults) hits() []hit {
	scripts, messages := f.scripts.Counts(), f.messages.Counts()
	return []hit{
		{"lost replies", scripts.Replies.Resets},
		{"lost requests", scripts.Requests.Resets},
		{"lost messages", messages.Replies.Resets},
		{"late replies", scripts.Replies.Late + messages.Replies.Late},
	}
}

// through returns the client options with a network that ends with the test.
func through(n *faultnet.Network, o *redis.Options) *redis.Options {
	o.Dialer = n.DialContext
	return o
}
