package concordhttp

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/concord-go/concord/fence"
)

const (
	problemMedia = "application/problem+json"
	problemBase  = "https://github.com/concord-go/concord/tree/main/concordhttp#"
	maxProblem   = 8 << 10 // a resource takes up to three bytes for each of its own
)

// problem is the body of a refusal (RFC 9457). Tokens are text, since JSON numbers are too small for
// them, and the resource is encoded as in its header, since its bytes need not be UTF-8.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Resource string `json:"resource,omitempty"`
	Token    string `json:"token,omitempty"`
	Mark     string `json:"mark,omitempty"`
}

// refuse writes the answer to a request that was not let through. The error itself stays here: it
// may say things about the engine that are not the client's.
func refuse(w http.ResponseWriter, i Info, wait time.Duration) {
	r := refusals[i.Outcome]
	p := problem{Type: problemBase + string(i.Outcome), Title: r.title, Status: r.status, Detail: r.detail}
	if i.Outcome == FencedOut {
		p.Resource, p.Token, p.Mark = url.PathEscape(i.Resource), i.Token.String(), i.Mark.String()
	}
	if i.Outcome == Unavailable {
		w.Header().Set(headerRetryAfter, retryAfter(wait))
	}
	answer(w, r.status, p)
}

// answer writes a problem.
func answer(w http.ResponseWriter, status int, problem any) {
	body, err := json.Marshal(problem)
	if err != nil { // it has nothing but text and numbers
		body = nil
	}
	h := w.Header()
	h.Set("Content-Type", problemMedia)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// Refused returns a [*fence.FencedError] if resp is the refusal of a token by a [Fence], and nil for
// any other response, which the caller judges by its status. The body can still be read and must be
// closed by the caller.
func Refused(resp *http.Response) error {
	if resp.StatusCode != http.StatusPreconditionFailed {
		return nil
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != problemMedia {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	var p problem
	if err != nil || json.Unmarshal(body, &p) != nil || p.Type != problemBase+string(FencedOut) {
		return nil
	}
	resource, err := url.PathUnescape(p.Resource)
	if err != nil {
		return nil
	}
	token, badToken := fence.ParseToken(p.Token)
	mark, badMark := fence.ParseToken(p.Mark)
	if badToken != nil || badMark != nil {
		return nil
	}
	return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
}
