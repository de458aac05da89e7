package lockfaults

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// seedEnv repeats the choices of an earlier run; the order in which connections make them is up to
// the scheduler.
const seedEnv = "LOCKFAULTS_SEED"

func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}

// faults is what the connections of a client do to what passes through them, once they carry the
// library's own traffic. The rates are parts of one.
type faults struct {
	loseReply   float64 // the server has executed the request, its answer is lost with the connection
	loseRequest float64 // the connection ends before the request is out
	loseMessage float64 // the subscription ends with a message in it
	delay       float64 // an answer or message is late, by up to maxDelay

	mu   sync.Mutex
	dice *rand.Rand

	replies, requests, messages, delays atomic.Int64 // how often it happened
}

const maxDelay = 30 * time.Millisecond

// roll returns a number from 0 to 1, and another one.
func (f *faults) roll() (float64, float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.Float64(), f.dice.Float64()
}

// on returns the client options with these faults.
func (f *faults) on(o *redis.Options) *redis.Options {
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: c, faults: f}, nil
	}
	return o
}

// faultyConn is one connection with faults.
type faultyConn struct {
	net.Conn
	*faults
	scripts, messages atomic.Bool // what it is used for
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) {
		c.scripts.Store(true)
		if a, _ := c.roll(); a < c.loseRequest {
			c.requests.Add(1)
			c.Close()
			return 0, io.ErrClosedPipe
		}
	}
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte("subscribe")) {
		c.messages.Store(true)
	}
	return n, err
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	lose, count := c.loseReply, &c.replies
	switch {
	case c.messages.Load():
		lose, count = c.loseMessage, &c.faults.messages
	case !c.scripts.Load():
		return n, nil
	}
	a, late := c.roll()
	switch {
	case a < lose:
		count.Add(1)
		c.Close()
		return 0, io.ErrUnexpectedEOF
	case a < lose+c.delay:
		c.delays.Add(1)
		time.Sleep(time.Duration(late * float64(maxDelay)))
	}
	return n, nil
}
