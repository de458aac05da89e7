// Package concordhttp carries fencing tokens and rate limits over HTTP. For tokens it has a transport that
// sends the token of a lease with a request, and a middleware that refuses a request whose token is not
// the newest. For limits it has a middleware that lets a request pass or tells when to come again, and a
// transport that does not come before. Further transports make attempts at requests that failed, and stop
// requests to servers that fail.
//
// # Tokens
//
// The client:
//
//	transport, err := concordhttp.NewTransport(nil, "https://ledger.internal")
//	client := &http.Client{Transport: transport}
//	…
//	ctx = concordhttp.WithToken(ctx, "orders/42", l.Token())
//	err = concordhttp.Raise(ctx, client, "https://ledger.internal/fence", "orders/42", l.Token()) // first
//	…                                                                                               // then read
//	resp, err := client.Do(put.WithContext(ctx))                                                    // then write
//	err = concordhttp.Refused(resp)                                                                 // matches fence.ErrFenced
//
// The server:
//
//	fence, err := concordhttp.NewFence(be.Fences(), orderOf, concordhttp.TrustNames("worker"), nil)
//	mux.Handle("PUT /orders/{id}", fence.Handler(save))
//	mux.Handle("POST /fence", fence.RaiseHandler())
//
// What is sent. A token travels in Concord-Fence-Token as a decimal number, with the resource it belongs
// to in Concord-Fence-Resource, percent-encoded. Both are there or neither. The server works out for
// itself which resource a request is about and refuses a token of another one: tokens of different keys
// do not compare, and one that is raised on the wrong mark keeps good holders out.
//
// What is answered. Before the handler runs, the mark of the resource is raised to the token. A refusal
// is a problem of RFC 9457 (application/problem+json):
//
//	412  fenced out: a higher token has been seen, which the body names. The holder has lost its
//	     lock; to send it again is pointless
//	428  no token (RFC 6585), unless FenceOptions.Optional is set
//	400  malformed: a header twice, not a number, of another resource, or a request of which no
//	     resource can be told
//	403  a token from a peer that may not send one. It is not ignored: a request that was meant to
//	     be fenced must not run unfenced
//	503  the mark could not be raised, with Retry-After. The handler has not run
//
// 412 was chosen because the token is a condition in a header that did not hold, and repeating it
// cannot help. 409 invites to look and try again, and 423 to wait.
//
// What it gives, and what not. A late request that arrives after a newer token was seen is refused, by
// every server that uses the same marks, also after a restart if the marks survive it. A new holder
// makes its token seen by [Raise], or by reading through the same middleware, before it reads what it is
// going to change.
//
// A request that is in the handler already is not stopped. Between our raise and the handler's write
// a newer holder may raise, read and write; the older write then goes over it. Raising a mark and
// writing elsewhere are two steps, and no order of them closes the gap. What closes it:
//
//   - The handler takes the token with [TokenFrom] and hands it to a guard of the resource itself,
//     which checks and writes in one step: a guarded write on Redis, a transaction on etcd or of a
//     database. The middleware then saves work, and the guard keeps the data right.
//   - FenceOptions.Serialize, if one process serves the resource and all its writes come through one
//     Fence: a newer token then waits until the handler of the older one has returned.
//
// Also not promised:
//
//   - A request that is sent twice is served twice: an equal token is accepted, because one holder
//     makes many requests. Clients and proxies repeat idempotent ones by themselves.
//   - A token is a number and no credential. Who may send one can raise a mark so high that nobody
//     may write, so the peers that may are named by the program and known by their connection.
//   - Responses are not fenced. What an old holder has read before may be old.
//
// # Limits
//
// The server:
//
//	limit, err := concordhttp.Limit(limits, concordhttp.ByHeader("X-Api-Key"), nil)
//	mux.Handle("/api/", limit(api))
//
// The client:
//
//	transport, err := concordhttp.Obey(nil, nil)
//	client := &http.Client{Transport: transport}
//
// The answer to a request that passes says what is left, by the IETF draft "RateLimit header fields for
// HTTP": RateLimit-Policy has all limits of the policy that are not shadows, RateLimit the one with the
// least left. t is the time until all of it is there again or, when nothing is left, until something is.
// A decision that does not know what is left, because the process had taken units ahead or the engine
// does not answer, is told without it. A refusal is a problem of RFC 9457, with Retry-After in whole
// seconds, rounded up:
//
//	429  over a limit: type quota-exceeded of the draft, with the limit in violated-policies
//	503  the engine does not answer, and the limit is closed then or this process's share of it is
//	     used up: type temporary-reduced-capacity. Or the limiter was closed
//	401  no key, if LimitOptions.Challenge is set
//	400  no key; a malformed one, such as a header twice or of more than ratelimit.MaxKey bytes; or a
//	     cost that can never be allowed
//
// What it does not give:
//
//   - A limit is as good as its key. A header counts for what it says, a fresh one has a fresh limit, and
//     an address is shared by all behind it. docs/security.md of the repository has what each [KeyFunc]
//     is good for.
//   - It does not protect from the work of refusing: each request costs a question to the engine, unless
//     the limiter has allowances.
//   - [Obey] does what servers ask for, up to a bound, and nothing of its own: it does not slow down
//     before a limit is reached, and it does not send again.
//
// # Attempts and breakers
//
//	breaks, err := concordhttp.Breaker(nil, group, nil)
//	transport, err := concordhttp.Retry(breaks, retrier, nil)
//	client := &http.Client{Transport: transport}
//
// [Retry] sends a request again after an error of the connection, or 429, 502, 503 and 504, as its
// [retry.Retrier] allows: methods that are idempotent, requests with an Idempotency-Key, and others
// only if it is known that nothing of them was sent. Retry-After is heeded within a bound. From the
// second attempt on the number travels in Concord-Attempt; [Attempts] reads it, so that a server makes
// no further ones of its own within it. The last response is returned whatever its status.
//
// [Breaker] counts 5xx and errors as failures, by origin, and everything else as a success. A request
// that its caller has cancelled is not counted. The outcome is that of the header: a body that breaks
// off later counts only with BreakerOptions.WholeBody.
//
// Together. With the attempts around the breaker, as above, every attempt is counted, and a rejection
// is an attempt that was not sent: it costs budget, and the next one waits until the breaker tries
// again, or the request fails at once if its deadline is before that. With the breaker around the
// attempts a request is counted once, after all of them, and a rejection ends it. The first opens
// sooner and is what one normally wants. [Obey] belongs below both.
//
// What they do not give:
//
//   - An error does not say whether the server has done the work. That the methods are idempotent is up
//     to the server.
//   - A body without GetBody is sent once: http.NewRequest sets it for bytes and strings, not for files.
//   - net/http sends some requests again by itself when a connection that it had kept turns out to be
//     closed. That is no attempt, and is neither counted nor paid.
//   - While an attempt waits, up to 64 KiB of the failed response are kept in memory; of a body that
//     takes longer than a second the rest is lost, also if it turns out to be the last.
package concordhttp
