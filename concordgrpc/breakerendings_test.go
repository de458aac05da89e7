package concordgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordgrpc"
)

// largest is the largest message that a client may send.
const largest = 1 << 21

// use is what a program does with a stream.
type use func(t *testing.T, j *judged, s grpc.ClientStream)

// hears reads a stream until an error, and wants its code; that of io.EOF is OK.
func hears(want codes.Code) use {
	return func(t *testing.T, _ *judged, s grpc.ClientStream) {
		t.Helper()
		var err error
		for err == nil {
			_, err = hear(s)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if status.Code(err) != want {
			t.Errorf("the stream ended with %v, not %v", err, want)
		}
	}
}

func hearsOne(t *testing.T, _ *judged, s grpc.ClientStream) {
	t.Helper()
	if w, err := hear(s); w != "hello" || err != nil {
		t.Errorf("heard %q, %v", w, err)
	}
}

func readsHeader(t *testing.T, _ *judged, s grpc.ClientStream) {
	t.Helper()
	if md, err := s.Header(); len(md.Get("x-served")) != 1 || err != nil {
		t.Errorf("the header is %v, %v", md, err)
	}
}

func findsNoHeader(t *testing.T, _ *judged, s grpc.ClientStream) {
	t.Helper()
	if md, err := s.Header(); md != nil || err != nil {
		t.Errorf("the header is %v, %v", md, err)
	}
}

// asksTwice finds no header, and then the reason.
func asksTwice(t *testing.T, j *judged, s grpc.ClientStream) {
	t.Helper()
	findsNoHeader(t, j, s)
	if got := j.outcomes(); len(got) != 0 {
		t.Errorf("told %v before anybody knows", got)
	}
	hears(codes.Internal)(t, j, s)
}

// answered ends sending, and wants the one answer to be of this code.
func answered(want codes.Code) use {
	return func(t *testing.T, _ *judged, s grpc.ClientStream) {
		t.Helper()
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := hear(s); status.Code(err) != want {
			t.Errorf("answered with %v, not %v", err, want)
		}
	}
}

// sends wants sending to fail.
func sends(what any, want codes.Code) use {
	return func(t *testing.T, _ *judged, s grpc.ClientStream) {
		t.Helper()
		if err := s.SendMsg(what); status.Code(err) != want {
			t.Errorf("%v, not %v", err, want)
		}
	}
}

// sendsToNobody finds the stream ended, for a reason that RecvMsg has.
func sendsToNobody(t *testing.T, j *judged, s grpc.ClientStream) {
	t.Helper()
	sendsTooLong(t, j, s)
	if got := j.outcomes(); len(got) != 0 {
		t.Errorf("told %v before anybody knows", got)
	}
	hears(codes.Unavailable)(t, j, s)
}

// inVain runs out of time in the first method of the stream that it calls.
func inVain(what use) use {
	return func(t *testing.T, j *judged, s grpc.ClientStream) {
		t.Helper()
		j.begun = j.expire
		what(t, j, s)
	}
}

// sendsInVain runs out of time while it sends a message that the server, which reads nothing, has no
// room for.
func sendsInVain(t *testing.T, j *judged, s grpc.ClientStream) {
	t.Helper()
	large := word(strings.Repeat("x", 1<<20))
	if err := s.SendMsg(large); err != nil { // gRPC keeps one
		t.Error(err)
	}
	j.begun = j.expire
	if err := s.SendMsg(large); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// sendsTooLong sends until the server has had enough.
func sendsTooLong(t *testing.T, _ *judged, s grpc.ClientStream) {
	t.Helper()
	var err error
	for err == nil {
		err = s.SendMsg(word("hello"))
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func sleeps(_ *testing.T, j *judged, _ grpc.ClientStream) { j.expire() }

func stopsServer(t *testing.T, j *judged, s grpc.ClientStream) {
	t.Helper()
	j.server.Stop()
	hears(codes.Unavailable)(t, j, s)
}

func closesClient(t *testing.T, j *judged, s grpc.ClientStream) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if w, err := hear(s); err == nil {
		t.Errorf("heard %q", w)
	}
}

func leaves(*testing.T, *judged, grpc.ClientStream) {}

// TestStreamEndings goes through all the ways in which a stream can end, and in which its program can
// leave it. Each is told once.
func TestStreamEndings(t *testing.T) {
	const success, failure, ignored = breaker.Success, breaker.Failure, breaker.Ignored
	unavailable, internal := refuses(codes.Unavailable), refuses(codes.Internal)
	for name, c := range map[string]struct {
		desc        *grpc.StreamDesc
		handle      func(grpc.ServerStream) error
		use         use
		want, whole breaker.Outcome
	}{
		"a message and the end":        {bothTalk, greets(ending), hears(codes.OK), success, success},
		"the end alone":                {bothTalk, ending, hears(codes.OK), success, success},
		"a message and a failure":      {bothTalk, greets(unavailable), hears(codes.Unavailable), success, failure},
		"a failure":                    {bothTalk, unavailable, hears(codes.Unavailable), failure, failure},
		"an answer that is no failure": {bothTalk, refuses(codes.NotFound), hears(codes.NotFound), success, success},
		"answered by a stream":         {serverTalks, greets(greets(ending)), hears(codes.OK), success, success},
		"a message, and dropped":       {bothTalk, greets(silent), hearsOne, success, ignored},
		"the header, and dropped":      {bothTalk, headed, readsHeader, success, ignored},
		"no header":                    {bothTalk, internal, asksTwice, failure, failure},
		"one answer":                   {clientTalks, greets(ending), answered(codes.OK), success, success},
		"a failure for an answer":      {clientTalks, internal, answered(codes.Internal), failure, failure},
		"an answer and a failure":      {clientTalks, greets(internal), answered(codes.Internal), failure, failure},
		"no answer":                    {clientTalks, ending, answered(codes.Internal), failure, failure},
		"what cannot be sent":          {bothTalk, silent, sends("not a message", codes.Internal), failure, failure},
		"what is too large":            {bothTalk, silent, sends(word(strings.Repeat("x", largest+1)), codes.ResourceExhausted), success, success},
		"the end while sending":        {bothTalk, unavailable, sendsToNobody, failure, failure},
		"the server dies":              {bothTalk, silent, stopsServer, failure, failure},
		"the client closes":            {bothTalk, silent, closesClient, ignored, ignored},
		"dropped":                      {bothTalk, silent, leaves, ignored, ignored},
		"dropped though it had ended":  {bothTalk, unavailable, leaves, ignored, ignored},
		"a deadline while it hears":    {bothTalk, silent, inVain(hears(codes.DeadlineExceeded)), failure, failure},
		"a deadline while it waits":    {bothTalk, silent, inVain(findsNoHeader), failure, failure},
		"a deadline while it sends":    {bothTalk, silent, sendsInVain, failure, failure},
		"a deadline while it sleeps":   {bothTalk, silent, sleeps, ignored, ignored},
	} {
		for whole, want := range map[bool]breaker.Outcome{false: c.want, true: c.whole} {
			t.Run(fmt.Sprintf("%s, whole %v", name, whole), func(t *testing.T) {
				t.Parallel()
				var asked atomic.Int32
				outcome := func(err error) breaker.Outcome {
					asked.Add(1)
					return concordgrpc.Outcome(err)
				}
				j := judge(t, c.handle, &concordgrpc.BreakerOptions{WholeStream: whole, Outcome: outcome}, nil)
				caller := &timed{Context: t.Context(), over: make(chan struct{})}
				j.expire = sync.OnceFunc(func() { close(caller.over) })
				ctx, cancel := context.WithCancel(caller)
				defer cancel()
				s, err := j.NewStream(ctx, c.desc, talk, grpc.MaxCallSendMsgSize(largest))
				if err != nil {
					t.Fatal(err)
				}
				c.use(t, j, s)
				told := func() bool { return len(j.outcomes()) > 0 }
				if want != ignored {
					wait(t, "the breaker is told", told)
				}
				cancel() // now at the latest it is over
				wait(t, "the breaker is told", told)
				_, _ = hear(s) // whatever it says now is too late
				if got := j.outcomes(); len(got) != 1 || got[0] != want || asked.Load() > 1 {
					t.Errorf("told %v, not %v, and asked %d times what it means", got, want, asked.Load())
				}
			})
		}
	}
}
