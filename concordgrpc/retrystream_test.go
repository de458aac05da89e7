package concordgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/retry"
)

// counting is a server that counts, from the number after the one it is asked for. Its streams end one by
// one as its list says, and well after it; each brings at most two numbers before.
type counting struct {
	mu      sync.Mutex
	endings []func(context.Context) error
	streams []string // what each was asked for, and which attempt it was said to be
}

const counted = 7

func (c *counting) handle(s grpc.ServerStream) error {
	after, err := hear(s)
	if err != nil {
		return err
	}
	sent := strings.Join(metadata.ValueFromIncomingContext(s.Context(), concordgrpc.MetadataAttempt), "+")
	c.mu.Lock()
	var end func(context.Context) error
	if n := len(c.streams); n < len(c.endings) {
		end = c.endings[n]
	}
	c.streams = append(c.streams, fmt.Sprint("after ", after, " ", sent, "=", retry.AttemptFrom(s.Context())))
	c.mu.Unlock()
	from, err := strconv.Atoi(after)
	if err != nil {
		return err
	}
	for i := from + 1; i <= counted; i++ {
		if end != nil && i > from+2 {
			return end(s.Context())
		}
		if err := s.SendMsg(word(strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return nil
}

func (c *counting) came() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.streams)
}

// reader reads what a counting server counts, and goes on where it was.
type reader struct {
	conn *grpc.ClientConn
	read []int
}

func (r *reader) run(ctx context.Context) error {
	last := 0
	if len(r.read) > 0 {
		last = r.read[len(r.read)-1]
	}
	s, err := say(ctx, r.conn, serverTalks, strconv.Itoa(last))
	if err != nil {
		return err
	}
	for {
		w, err := hear(s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(w)
		if err != nil {
			return err
		}
		r.read = append(r.read, n)
	}
}

func reads(t *testing.T, c *counting, interceptors ...grpc.StreamClientInterceptor) *reader {
	t.Helper()
	_, addr := listen(t, talks(c.handle), grpc.StreamInterceptor(concordgrpc.AttemptsStream))
	return &reader{conn: dial(t, addr, grpc.WithChainStreamInterceptor(interceptors...))}
}

// A stream that breaks is opened again where the program was, and the server is told which attempt it is.
func TestRetryStream(t *testing.T) {
	c := &counting{endings: []func(context.Context) error{fails(codes.Unavailable), fails(codes.Aborted)}}
	r := reads(t, c)
	if err := retrying(t, nil, always, nil).Do(t.Context(), r.run); err != nil {
		t.Error(err)
	}
	if want := []int{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(r.read, want) {
		t.Errorf("read %v", r.read)
	}
	if want := []string{"after 0 =1", "after 2 2=2", "after 4 3=3"}; !slices.Equal(c.came(), want) {
		t.Errorf("%q", c.came())
	}
}

// What ends it for good, and with which error.
func TestRetryStreamErrors(t *testing.T) {
	own := errors.New("of the program")
	for name, c := range map[string]struct {
		ending  func(context.Context) error
		fn      func(context.Context) error // in place of reading
		want    codes.Code
		streams int
		is      error
	}{
		"not found":      {ending: fails(codes.NotFound), want: codes.NotFound, streams: 1},
		"unavailable":    {ending: fails(codes.Unavailable), want: codes.Unavailable, streams: 3, is: retry.ErrExhausted},
		"of the program": {fn: func(context.Context) error { return own }, want: codes.Unknown, is: own},
		"not read well":  {fn: func(context.Context) error { return io.EOF }, want: codes.Unknown, is: io.EOF},
	} {
		s := &counting{endings: slices.Repeat([]func(context.Context) error{c.ending}, 3)}
		r := reads(t, s)
		fn := c.fn
		if fn == nil {
			fn = r.run
		}
		err := retrying(t, nil, always, nil).Do(t.Context(), fn)
		if status.Code(err) != c.want || len(s.came()) != c.streams || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v after %q", name, err, s.came())
		}
	}
}

// A stream that hangs is followed by another, if the time of each is bounded.
func TestRetryStreamHangs(t *testing.T) {
	c := &counting{endings: []func(context.Context) error{hangs}}
	r := reads(t, c)
	err := retrying(t, &retry.Options{AttemptTimeout: time.Second}, always, nil).Do(t.Context(), r.run)
	if err != nil || len(r.read) != counted || len(c.came()) != 2 {
		t.Errorf("%v, read %v after %q", err, r.read, c.came())
	}
}

// A caller who leaves gets the status for it.
func TestRetryStreamCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &counting{endings: []func(context.Context) error{func(ctx context.Context) error { cancel(); return hangs(ctx) }}}
	err := retrying(t, nil, always, nil).Do(ctx, reads(t, c).run)
	if status.Code(err) != codes.Canceled || len(c.came()) != 1 {
		t.Errorf("%v after %q", err, c.came())
	}
}

// Attempts wait for a breaker that judges streams.
func TestRetryStreamAroundBreaker(t *testing.T) {
	b, g := newBreaker(t, &concordgrpc.BreakerOptions{WholeStream: true})
	c := &counting{endings: []func(context.Context) error{fails(codes.Unavailable), fails(codes.Unavailable)}}
	r := reads(t, c, b.Stream)
	rejected := 0
	hooks := &retry.Hooks{Failed: func(_ context.Context, i retry.Info) {
		if i.Class == retry.ClassThrottled && errors.Is(i.Err, breaker.ErrRejected) {
			rejected++
			g.Get(r.conn.Target()).Reset() // as if the time were over
		}
	}}
	it := retrying(t, &retry.Options{MaxAttempts: 4, MaxRetryAfter: 1, Hooks: hooks}, always, nil)
	if err := it.Do(t.Context(), r.run); err != nil || len(r.read) != counted || rejected != 1 {
		t.Errorf("%v, read %v, rejected %d times", err, r.read, rejected)
	}
	if want := []string{"after 0 =1", "after 2 2=2", "after 4 4=4"}; !slices.Equal(c.came(), want) {
		t.Errorf("%q", c.came())
	}
}

// What is not the number of an attempt is ignored.
func TestAttemptsStream(t *testing.T) {
	for sent, want := range map[string]string{"": "1", "2": "2", "1": "1", "0": "1", "-1": "1", "x": "1", "65536": "1", "2,3": "1"} {
		ctx := t.Context()
		for n := range strings.SplitSeq(sent, ",") {
			ctx = metadata.AppendToOutgoingContext(ctx, concordgrpc.MetadataAttempt, n)
		}
		c := &counting{}
		if err := reads(t, c).run(ctx); err != nil {
			t.Error(err)
		}
		if got := c.came(); len(got) != 1 || !strings.HasSuffix(got[0], "="+want) {
			t.Errorf("%q: %q", sent, got)
		}
	}
}
