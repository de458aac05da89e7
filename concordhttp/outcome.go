package concordhttp

import "net/http"

// Outcome is what a [Fence] made of a request.
type Outcome string

// The outcomes.
const (
	Passed      Outcome = "passed"      // the mark is raised to the token and the handler runs
	Unfenced    Outcome = "unfenced"    // there is no token, and it is optional: the handler runs
	FencedOut   Outcome = "fenced-out"  // 412
	Missing     Outcome = "missing"     // 428
	Malformed   Outcome = "malformed"   // 400
	Untrusted   Outcome = "untrusted"   // 403
	Unavailable Outcome = "unavailable" // 503
)

// refusal is what the client is told.
type refusal struct {
	status        int
	title, detail string
}

var refusals = map[Outcome]refusal{
	FencedOut: {http.StatusPreconditionFailed, "Fenced out",
		"A later holder of the lock has reached this resource. The lock is lost; do not send this again."},
	Missing: {http.StatusPreconditionRequired, "Fencing token required",
		"Acquire the lock of this resource and send its token in " + HeaderToken + "."},
	Malformed: {http.StatusBadRequest, "Fencing token malformed",
		HeaderToken + " and " + HeaderResource + " must each stand once, as a decimal number and the percent-encoded name of the resource that the request is about."},
	Untrusted: {http.StatusForbidden, "Fencing token not accepted", "This peer may not send fencing tokens."},
	Unavailable: {http.StatusServiceUnavailable, "Fence unavailable",
		"The token could not be checked. Nothing was done; send this again later."},
}
