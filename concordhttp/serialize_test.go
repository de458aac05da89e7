package concordhttp_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/concordhttp"
)

// blocking is a handler that, for one path, says that it has begun and waits to be let go.
func blocking() (begun, let chan struct{}, h http.HandlerFunc) {
	begun, let = make(chan struct{}), make(chan struct{})
	return begun, let, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/r/slow" {
			done(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // before that the server does not see a client leave
		select {
		case begun <- struct{}{}:
		case <-r.Context().Done():
		}
		select {
		case <-let:
		case <-r.Context().Done():
		}
		done(w, r)
	}
}

// The hole that the package comment tells of: a raise does not wait for a request in the handler.
func TestRequestInTheHandlerIsNotStopped(t *testing.T) {
	begun, let, h := blocking()
	s := serve(t, newFence(t, newMarks(), loopback, nil), h)
	c := newClient(t, s.URL)
	old := make(chan error, 1)
	go func() {
		resp, err := put(t, c, s.URL+"/r/slow", "slow", 33)
		if err == nil {
			err = resp.Body.Close()
		}
		old <- err
	}()
	<-begun
	if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "slow", 34); err != nil {
		t.Errorf("raise = %v", err)
	}
	close(let)
	if err := <-old; err != nil {
		t.Error(err)
	}
}

// With Serialize a newer token waits until the handler of the older one has returned; other
// resources do not.
func TestSerialize(t *testing.T) {
	begun, let, h := blocking()
	s := serve(t, newFence(t, newMarks(), loopback, &concordhttp.FenceOptions{Serialize: true, Timeout: patience}), h)
	c := newClient(t, s.URL)
	var returned atomic.Bool
	old, raised := make(chan error, 1), make(chan error, 1)
	go func() {
		resp, err := put(t, c, s.URL+"/r/slow", "slow", 33)
		if err == nil {
			err = resp.Body.Close()
		}
		old <- err
	}()
	<-begun
	go func() {
		err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "slow", 34)
		if !returned.Load() {
			t.Error("the raise did not wait for the handler")
		}
		raised <- err
	}()
	for range 20 { // time for a raise that does not wait, without depending on it
		send(t, c, s.URL+"/r/other", "other", 1, http.StatusNoContent)
	}
	returned.Store(true)
	close(let)
	if err := <-old; err != nil {
		t.Error(err)
	}
	if err := <-raised; err != nil {
		t.Error(err)
	}
	send(t, c, s.URL+"/r/slow", "slow", 33, http.StatusPreconditionFailed)
}

func TestSerializeGivesUp(t *testing.T) {
	begun, let, h := blocking()
	s := serve(t, newFence(t, newMarks(), loopback, &concordhttp.FenceOptions{Serialize: true, Timeout: 20 * time.Millisecond}), h)
	c := newClient(t, s.URL)
	old := make(chan error, 1)
	go func() {
		resp, err := put(t, c, s.URL+"/r/slow", "slow", 33)
		if err == nil {
			err = resp.Body.Close()
		}
		old <- err
	}()
	<-begun
	send(t, c, s.URL+"/r/slow", "slow", 34, http.StatusServiceUnavailable) // not raised either:
	close(let)
	if err := <-old; err != nil {
		t.Error(err)
	}
	go func() { <-begun }()
	send(t, c, s.URL+"/r/slow", "slow", 33, http.StatusNoContent)
}

// A handler that panics gives its turn back.
func TestSerializeSurvivesAPanic(t *testing.T) {
	var ran atomic.Int32
	s := serve(t, newFence(t, newMarks(), loopback, &concordhttp.FenceOptions{Serialize: true}), func(w http.ResponseWriter, r *http.Request) {
		if ran.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		done(w, r)
	})
	c := newClient(t, s.URL)
	if resp, err := put(t, c, s.URL+"/r/r", "r", 33); err == nil {
		_ = resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	send(t, c, s.URL+"/r/r", "r", 33, http.StatusNoContent)
}

// A client that has gone does not keep its place.
func TestSerializeForgetsWhoLeft(t *testing.T) {
	begun, let, h := blocking()
	outcomes := make(chan concordhttp.Outcome, 10)
	o := &concordhttp.FenceOptions{Serialize: true, Timeout: time.Minute, Hooks: &concordhttp.Hooks{
		Decided: func(_ context.Context, i concordhttp.Info) { outcomes <- i.Outcome },
	}}
	s := serve(t, newFence(t, newMarks(), loopback, o), h)
	c := newClient(t, s.URL)
	old := make(chan error, 1)
	go func() {
		resp, err := put(t, c, s.URL+"/r/slow", "slow", 33)
		if err == nil {
			err = resp.Body.Close()
		}
		old <- err
	}()
	<-begun
	if got := <-outcomes; got != concordhttp.Passed {
		t.Errorf("first: %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := concordhttp.Raise(ctx, c, s.URL+"/fence", "slow", 34); err == nil {
		t.Error("raised")
	}
	if got := <-outcomes; got != concordhttp.Unavailable {
		t.Errorf("second: %s", got)
	}
	close(let)
	if err := <-old; err != nil {
		t.Error(err)
	}
}
