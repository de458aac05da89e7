package concordgrpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/breaker"
)

// Stream is a [grpc.StreamClientInterceptor].
//
// A stream is judged by its beginning. It is a success, and its time is over, when the program reads
// the first thing that the server says: the header, or a message. How long it goes on says nothing about
// the server, and the breaker could not wait for it: probes that last for hours would keep it half-open
// as long. A stream that ends before is judged by its error, like a call. What breaks it later is not
// counted, unless BreakerOptions.WholeStream is set; the next stream tells.
//
// So a server whose streams are silent at first should send its header at once, and the client read
// it. A call that has one answer to many messages begins with that answer, and its time is also that of
// sending.
//
// A stream that the program leaves before is not counted: its ctx is cancelled, the connection is closed,
// or the deadline passes while no method of the stream is under way. A deadline that passes in Header,
// RecvMsg or SendMsg is DEADLINE_EXCEEDED, since it was the server that was waited for. A stream that is
// dropped although its ctx goes on is lost, like a permit that is never told: gRPC demands that it is
// read to its end, or its ctx cancelled.
func (b *Breaker) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	permit, err := b.group.Get(b.opt.Key(ctx, cc.Target(), method)).Acquire(ctx)
	if err != nil {
		return nil, notBegun(ctx, err)
	}
	opened := false
	defer func() {
		if !opened {
			permit.Report(breaker.Failure) // of a panic
		}
	}()
	stream, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		permit.Report(b.outcome(ctx, cc, err))
		return nil, err
	}
	opened = true
	s := &judgedStream{ClientStream: stream, breaker: b, conn: cc, ctx: ctx, permit: &permit, ends: !desc.ServerStreams}
	s.stop = context.AfterFunc(ctx, s.left)
	return s, nil
}

// judgedStream tells its breaker once what it says of the server.
type judgedStream struct {
	grpc.ClientStream
	breaker *Breaker
	conn    *grpc.ClientConn
	ctx     context.Context // of the caller; that of gRPC's stream ends with it, and asking for it has an effect
	permit  *breaker.Permit
	ends    bool         // a message is the only one: no other, and no error, comes after it
	stop    func() bool  // of left
	waiting atomic.Int32 // how many methods of the stream are under way
	told    atomic.Bool
}

// Header returns the header that the server has sent.
func (s *judgedStream) Header() (metadata.MD, error) {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	md, err := s.ClientStream.Header()
	switch {
	case err != nil:
		s.tell(err)
	case md == nil:
		s.over()
	case !s.breaker.opt.WholeStream:
		s.tell(nil)
	}
	return md, err
}

// SendMsg sends a message.
func (s *judgedStream) SendMsg(m any) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	err := s.ClientStream.SendMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		s.over()
	case err != nil:
		s.tell(err)
	}
	return err
}

// RecvMsg receives a message.
func (s *judgedStream) RecvMsg(m any) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	err := s.ClientStream.RecvMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		s.tell(nil)
	case err != nil:
		s.tell(err)
	case s.ends || !s.breaker.opt.WholeStream:
		s.tell(nil)
	}
	return err
}

// tell reports what err, nil included, says of the server.
func (s *judgedStream) tell(err error) {
	if !s.told.CompareAndSwap(false, true) {
		return
	}
	s.stop()
	defer s.permit.Report(breaker.Failure) // of a panic
	s.permit.Report(s.breaker.outcome(s.ctx, s.conn, err))
}

// over is for a stream that has ended. RecvMsg has the reason, unless it is ctx: then nobody need ask. The
// server closes a stream at its deadline, and may be sooner with that than the timer of ctx.
func (s *judgedStream) over() {
	err := s.ctx.Err()
	if deadline, ok := s.ctx.Deadline(); err == nil && ok && !time.Now().Before(deadline) {
		err = context.DeadlineExceeded
	}
	if err != nil {
		s.tell(status.FromContextError(err).Err())
	}
}

// left runs when ctx has ended. Perhaps nobody ever looks at the stream again. If nobody does now, the
// server may have answered long ago.
func (s *judgedStream) left() {
	if s.waiting.Load() > 0 {
		s.over()
	} else {
		s.permit.Report(breaker.Ignored)
	}
}
