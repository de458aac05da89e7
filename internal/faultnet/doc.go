// Package faultnet is a network with faults, for tests: it stands between a real client and a real
// server and delays, loses, holds back and cuts what passes.
//
// A [Network] holds the faults of the moment, in one value of [Rules] that can be changed while
// connections live, and counts what they hit. There are two ways into it, with the same rules:
//
//   - [Network.DialContext] and [Network.DialAddr] are dialers as clients take them, and
//     [Network.Wrap] is for connections that were made in another way.
//   - [Network.Proxy] listens on a loopback port for clients that cannot be given a dialer, such as
//     other processes.
//
// What shall fail apart, such as the nodes of a cluster, gets networks of its own. Networks can be
// put behind each other with Wrap.
//
// # Chunks
//
// Faults with a rate throw their dice once for each chunk: what one call of Write sent, or what a
// proxy or the server's end of a connection read at once. A short request or reply is one chunk.
//
// The dice of the n-th connection in each direction follow from the seed and n alone, and each
// chunk uses the same number of them under all rules. So a seed repeats the faults of a run as far
// as the run itself repeats: which goroutine makes the n-th connection, and how the kernel cuts a
// long reply, is not in the seed. [Seed] is the seed of a test.
//
// # What it is not
//
// It works on streams and not on packets, so what a real network would lose and send again is
// only late here. To make a connection takes no time under Latency, and succeeds under Stall and
// HalfOpen, as it does with a server that is paused. Under Cut a proxy resets a new connection
// where a dialer refuses it. The end of a connection is not felt by the server while a fault keeps
// it back, so a test should expect connections there that their clients have closed.
//
// A client that looks at the socket of an idle connection before it uses it again, as go-redis
// does, can do so only through a proxy.
package faultnet
