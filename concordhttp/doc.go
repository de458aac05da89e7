// Package concordhttp carries fencing tokens over HTTP: a transport that sends the token of a lease
// with a request, and a middleware that refuses a request whose token is not the newest.
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
// # What is sent
//
// A token travels in Concord-Fence-Token as a decimal number, with the resource it belongs to in
// Concord-Fence-Resource, percent-encoded. Both are there or neither. The server works out for itself
// which resource a request is about and refuses a token of another one: tokens of different keys do
// not compare, and one that is raised on the wrong mark keeps good holders out.
//
// # What is answered
//
// Before the handler runs, the mark of the resource is raised to the token. A refusal is a problem
// of RFC 9457 (application/problem+json):
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
// # What it gives, and what not
//
// A late request that arrives after a newer token was seen is refused, by every server that uses the
// same marks, also after a restart if the marks survive it. A new holder makes its token seen
// by [Raise], or by reading through the same middleware, before it reads what it is going to change.
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
package concordhttp
