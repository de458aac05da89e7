package concordhttp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

const (
	maxKept  = 64 << 10 // bytes of the body of a failed attempt that are read to free its connection
	keepTime = time.Second
)

// lifetime is the context of an attempt, which becomes that of the body of its response.
type lifetime struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	caller  context.Context
	release func() bool // from the attempt
}

func newLifetime(attempt, caller context.Context) *lifetime {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(attempt))
	l := &lifetime{ctx: ctx, cancel: cancel, caller: caller}
	l.release = context.AfterFunc(attempt, func() { cancel(context.Cause(attempt)) })
	return l
}

// end is for an attempt without a response.
func (l *lifetime) end() {
	l.release()
	l.cancel(context.Canceled)
}

// extend frees the context from the attempt, since the header is there, and binds it to the caller's until the
// body is closed. It fails if the attempt has ended in this moment.
func (l *lifetime) extend(resp *http.Response) error {
	unbind := context.AfterFunc(l.caller, func() { l.cancel(context.Cause(l.caller)) })
	if !l.release() {
		<-l.ctx.Done()
		unbind()
		_ = resp.Body.Close() // it has ended with its context
		return context.Cause(l.ctx)
	}
	body := &livingBody{ReadCloser: resp.Body, life: l, unbind: unbind}
	resp.Body = body
	if w, ok := body.ReadCloser.(io.Writer); ok { // of a connection that has switched protocols
		resp.Body = struct {
			io.ReadCloser
			io.Writer
		}{body, w}
	}
	return nil
}

// livingBody ends the context that it lives under when it is closed.
type livingBody struct {
	io.ReadCloser
	life   *lifetime
	unbind func() bool
}

func (b *livingBody) Close() error {
	err := b.ReadCloser.Close()
	b.unbind()
	b.life.cancel(context.Canceled)
	return err
}

// keep reads the body of a response that nobody may want, so that its connection is free while the next
// attempt waits. It is bounded in bytes, and then the rest can still be read; and in time, and then
// the rest is lost.
func keep(resp *http.Response) {
	body, ok := resp.Body.(*livingBody)
	if !ok {
		return
	}
	late := time.AfterFunc(keepTime, func() { body.life.cancel(context.DeadlineExceeded) })
	defer late.Stop()
	start, err := io.ReadAll(io.LimitReader(body, maxKept+1))
	var rest io.Reader = body
	if err != nil || len(start) <= maxKept {
		rest = failing{err}
		_ = body.Close() // all of it is here
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), body}
}

// failing is the end of a body.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}
