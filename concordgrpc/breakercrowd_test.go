package concordgrpc_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
)

// crowd is how many streams there are at once.
const crowd = 200

// Many streams end in all ways at once, and each is told once as what it was.
func TestManyStreams(t *testing.T) {
	handle := func(s grpc.ServerStream) error {
		switch w, err := hear(s); {
		case err != nil:
			return err
		case w == "fail":
			return status.Error(codes.Unavailable, "so it is")
		case w == "greet":
			return greets(silent)(s)
		default:
			return silent(s)
		}
	}
	j := judge(t, handle, nil, &breaker.Options{MinCalls: 1000})
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			what := []string{"fail", "greet", "listen", "leave"}[i%4]
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := say(ctx, j.ClientConn, bothTalk, what)
			if err != nil {
				t.Error(err)
				return
			}
			switch what {
			case "greet":
				_, _ = hear(s)
			case "fail":
				_, err := hear(s)
				if status.Code(err) != codes.Unavailable {
					t.Error(err)
				}
			case "listen": // and leave while another goroutine does
				var listening sync.WaitGroup
				listening.Go(func() { _, _ = hear(s) })
				cancel()
				listening.Wait()
			}
		})
	}
	all.Wait()
	wait(t, "all are told", func() bool { return len(j.outcomes()) == crowd })
	count := map[breaker.Outcome]int{}
	for _, o := range j.outcomes() {
		count[o]++
	}
	if count[breaker.Failure] != crowd/4 || count[breaker.Success] != crowd/4 || count[breaker.Ignored] != crowd/2 {
		t.Errorf("told %v", count)
	}
	if n := j.state.Counts(); n.Calls != crowd/2 || n.Failed != crowd/4 {
		t.Errorf("counted %+v", n)
	}
}

// gate is a server whose streams fail until it is mended, and then say nothing until they may.
type gate struct {
	mended atomic.Bool
	came   atomic.Int32 // since it was mended
	speak  chan struct{}
}

func (g *gate) handle(s grpc.ServerStream) error {
	if !g.mended.Load() {
		return status.Error(codes.Unavailable, "so it is")
	}
	g.came.Add(1)
	select {
	case <-g.speak:
		return headed(s)
	case <-s.Context().Done():
		return nil
	}
}

const probes = 3

// trip returns a client whose breaker has opened, and which tries when it is asked next. A probe may take
// as long as any test.
func (g *gate) trip(t *testing.T) *judged {
	t.Helper()
	g.speak = make(chan struct{})
	const openFor = time.Millisecond
	j := judge(t, g.handle, nil, &breaker.Options{
		MinCalls: 2, FailureRate: 1, OpenFor: openFor, Probes: probes, ProbeTimeout: time.Hour,
	})
	for range 2 {
		s, err := j.NewStream(t.Context(), bothTalk, talk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hear(s); status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
	g.mended.Store(true)
	<-time.After(openFor)
	return j
}

// opens opens so many streams at once, and returns those that are let through.
func opens(t *testing.T, ctx context.Context, j *judged, n int) []grpc.ClientStream {
	t.Helper()
	var (
		mu  sync.Mutex
		let []grpc.ClientStream
		all sync.WaitGroup
	)
	for range n {
		all.Go(func() {
			s, err := j.NewStream(ctx, bothTalk, talk)
			switch {
			case err == nil:
				mu.Lock()
				let = append(let, s)
				mu.Unlock()
			case !errors.Is(err, breaker.ErrRejected):
				t.Error(err)
			}
		})
	}
	all.Wait()
	return let
}

// When a breaker tries, exactly so many streams of a crowd are let through, and they close it while they
// go on.
func TestStreamsProbe(t *testing.T) {
	var g gate
	j := g.trip(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	let := opens(t, ctx, j, crowd)
	wait(t, "they have come", func() bool { return int(g.came.Load()) == len(let) })
	if state := j.state.State(); len(let) != probes || state != breaker.HalfOpen {
		t.Fatalf("%d of %d streams were let through, and the breaker is %v", len(let), crowd, state)
	}
	if more := opens(t, ctx, j, crowd); len(more) != 0 {
		t.Errorf("%d more were let through", len(more))
	}
	close(g.speak)
	for _, s := range let {
		if _, err := s.Header(); err != nil {
			t.Error(err)
		}
	}
	if state := j.state.State(); state != breaker.Closed {
		t.Errorf("the breaker is %v", state)
	}
	if more := opens(t, ctx, j, crowd); len(more) != crowd {
		t.Errorf("%d of %d were let through afterwards", len(more), crowd)
	}
}

// Probes that are dropped free their slots: exactly so many others have them.
func TestStreamsDropProbes(t *testing.T) {
	var g gate
	j := g.trip(t)
	const dropped = 2
	first, cancel := context.WithCancel(t.Context())
	defer cancel()
	if let := opens(t, first, j, dropped); len(let) != dropped {
		t.Fatalf("%d were let through", len(let))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if let := opens(t, ctx, j, crowd); len(let) != probes-dropped {
		t.Errorf("%d were let through beside %d", len(let), dropped)
	}
	before := len(j.outcomes())
	cancel()
	wait(t, "it is told", func() bool { return len(j.outcomes()) == before+dropped })
	if let := opens(t, ctx, j, crowd); len(let) != dropped {
		t.Errorf("%d were let through in place of %d", len(let), dropped)
	}
}

// A probe that breaks opens it again.
func TestStreamsFailProbe(t *testing.T) {
	var g gate
	j := g.trip(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	let := opens(t, ctx, j, crowd)
	wait(t, "they have come", func() bool { return int(g.came.Load()) == probes })
	j.server.Stop()
	for _, s := range let {
		if _, err := hear(s); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
	}
	if state := j.state.State(); state != breaker.Open {
		t.Errorf("the breaker is %v", state)
	}
}

// The time of a stream is that until it begins, or all of it.
func TestStreamsSlow(t *testing.T) {
	const slow = time.Millisecond
	late := func(s grpc.ServerStream) error {
		<-time.After(2 * slow)
		return greets(ending)(s)
	}
	long := func(s grpc.ServerStream) error {
		return greets(func(grpc.ServerStream) error {
			<-time.After(2 * slow)
			return nil
		})(s)
	}
	for name, c := range map[string]struct {
		handle func(grpc.ServerStream) error
		whole  bool
	}{"late": {late, false}, "long": {long, true}} {
		j := judge(t, c.handle, &concordgrpc.BreakerOptions{WholeStream: c.whole}, &breaker.Options{SlowAfter: slow})
		s, err := say(t.Context(), j.ClientConn, serverTalks, "hello")
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = hear(s)
		}
		if n := j.state.Counts(); !errors.Is(err, io.EOF) || n.Calls != 1 || n.Slow != 1 {
			t.Errorf("%s: %v, %+v", name, err, n)
		}
	}
}
