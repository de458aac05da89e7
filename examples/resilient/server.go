package main

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// slowness is how much longer a request of the slow tail takes.
const slowness = 200 * time.Millisecond

// trouble is what is wrong with a server.
type trouble struct {
	slow  int           // one request in so many is slow; 0 for none
	fail  int           // one in so many is answered with 503
	stuck time.Duration // it does nothing for so long
}

// server does one request after the other, in their order, also those that nobody waits for any more: it
// cannot know. Its queue has no bound, as that of many servers that never had to have one.
type server struct {
	each time.Duration // how long it is busy with a request

	mu      sync.Mutex
	trouble trouble
	came    int       // requests
	free    time.Time // when it will have done all of them
}

// begin begins a trouble, and ends the one before.
func (s *server) begin(now time.Time, t trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(t.stuck)
}

// take lines up a request. It returns when it is answered, and how.
func (s *server) take(now time.Time) (answered time.Time, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came++
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(s.each)
	answered, status = s.free, http.StatusOK
	if n := s.trouble.slow; n > 0 && s.came%n == 0 {
		answered = answered.Add(slowness) // elsewhere: others do not wait for it
	}
	if n := s.trouble.fail; n > 0 && s.came%n == 0 {
		status = http.StatusServiceUnavailable
	}
	return answered, status
}

// ServeHTTP implements [http.Handler].
func (s *server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	answered, status := s.take(time.Now())
	timer := time.NewTimer(time.Until(answered))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.Context().Done(): // nobody waits, but its place in the queue is taken
		return
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status)) // the client notices
}
