package concordhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
)

func TestRaise(t *testing.T) {
	m := newMarks()
	s := serve(t, newFence(t, m, loopback, nil), never(t))
	c := newClient(t, s.URL)
	for _, token := range []fence.Token{33, 33, 34} {
		if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "a/b", token); err != nil {
			t.Errorf("%v: %v", token, err)
		}
	}
	if mark, _ := m.Mark(t.Context(), "a/b"); mark != 34 {
		t.Errorf("mark %v", mark)
	}
	if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "a/b", 33); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("err = %v", err)
	}
	if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "a/b", 0); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
	if err := concordhttp.Raise(t.Context(), c, "://", "a/b", 34); err == nil {
		t.Error("raised nowhere")
	}
	resp, err := c.Get(s.URL + "/fence")
	if err != nil {
		t.Fatal(err)
	}
	if answered(t, resp, http.StatusMethodNotAllowed); resp.Header.Get("Allow") != http.MethodPost {
		t.Errorf("Allow: %q", resp.Header.Get("Allow"))
	}
}

// Only the word of a Fence counts: a client that sends no tokens, and servers that say yes to
// everything, do not raise.
func TestRaiseIsNotBelievedOfOthers(t *testing.T) {
	s := serve(t, newFence(t, newMarks(), loopback, nil), never(t))
	bare := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if err := concordhttp.Raise(t.Context(), bare, s.URL+"/fence", "r", 33); err == nil || !strings.Contains(err.Error(), "428") {
		t.Errorf("err = %v", err)
	}
	for _, status := range []int{http.StatusOK, http.StatusNoContent, http.StatusPreconditionFailed} {
		yes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		err := concordhttp.Raise(t.Context(), newClient(t, yes.URL), yes.URL, "r", 33)
		if err == nil || errors.Is(err, fence.ErrFenced) {
			t.Errorf("%d: %v", status, err)
		}
		yes.Close()
	}
}

// FuzzRefused: a body of any kind is no refusal or a whole one, and can still be read.
func FuzzRefused(f *testing.F) {
	const good = `{"type":"https://github.com/concord-go/concord/tree/main/concordhttp#fenced-out","status":412,"resource":"a%2Fb","token":"33","mark":"34"}`
	f.Add("application/problem+json", good)
	f.Add("application/problem+json; charset=utf-8", good)
	f.Add("text/html", "<html>")
	f.Add("application/problem+json", `{"type":1}`)
	f.Add("application/problem+json", strings.Replace(good, "34", "99999999999999999999", 1))
	f.Fuzz(func(t *testing.T, media, body string) {
		rec := httptest.NewRecorder()
		rec.Header()["Content-Type"] = []string{media}
		rec.WriteHeader(http.StatusPreconditionFailed)
		_, _ = rec.WriteString(body)
		resp := rec.Result()
		err := concordhttp.Refused(resp)
		var fenced *fence.FencedError
		if err != nil && (!errors.As(err, &fenced) || fenced.Mark == 0 || fenced.Token == 0) {
			t.Errorf("err = %v", err)
		}
		if got := answered(t, resp, http.StatusPreconditionFailed); got != body {
			t.Errorf("%d bytes left of %d", len(got), len(body))
		}
	})
}
