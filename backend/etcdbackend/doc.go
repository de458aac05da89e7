// Package etcdbackend keeps the state of Concord's primitives in one etcd cluster, version 3.5 or
// later.
//
//	client, err := clientv3.New(clientv3.Config{
//		Endpoints:            []string{"etcd-0:2379", "etcd-1:2379", "etcd-2:2379"},
//		DialTimeout:          2 * time.Second,
//		DialKeepAliveTime:    5 * time.Second, // a dead connection is noticed
//		DialKeepAliveTimeout: 2 * time.Second,
//	})
//	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "shop"})
//	…
//	err = be.Check(ctx) // version, leader, alarms, permissions, watch
//	locks, err := lock.New(be.Leases(), nil)
//	…
//	locks.Close(ctx)
//	be.Close(ctx)
//	client.Close() // it stays yours
//
// # What it does
//
// A claim is a key of its own on an etcd lease. Its create revision is its place in the line, and
// its token. It is granted when all claims before it have gone; every client finds that out for
// itself, from the same order of revisions.
//
// All claims of a process with about the same TTL share one lease: 2, 3, 5, 8, 13, 20, 30 s, 1, 2,
// 5, 10, 20, 30 min, 1, 2, 4, 8, 12, 24 h, the first that is not below the wish. It is renewed
// each third of the TTL by one request, however many claims are on it. A claim that its owner does
// not ask about any more is released when the owner cannot believe in it any more, and when the
// lease ends, all claims on it end. A claim that is Alone
// has a lease of its own, which costs a request more.
//
// To acquire, to try and to release is one transaction each; a try that finds the key held by
// another process asks once more, for how long. To renew needs no request: one watch for each
// backend object, on the deletions of all claims of the prefix, tells what has ended, and who is
// next. A hand-off costs two requests however many wait. The watch is asked for a sign of life
// when it was quiet for 5 s, and given up when there is none in another 5 s. While it is broken,
// claims are read instead.
//
// Nobody is granted without proof of his own claim: the watch tells of the deletion of that claim
// before it tells of the one that frees the way. If the watch has a gap, because etcd has
// compacted what it missed, every claim is read before anything more is said of it.
//
// Where several can hold, a claim is granted when the weights of all before it leave room for its
// own. The limit in force is that of the latest epoch that any claim on the key has, and goes with
// those claims. A try on a key in use takes two requests, and the first claim of an epoch three.
//
// A seat that does not go by age, to a claim with a larger priority or to one that a release names, is
// marked by a key beside its claim, whose revision is the token. Whoever leaves such a seat, or
// leaves one while claims with priorities wait, reads the line and hands the seat to the next in one
// step: two requests. After a death the first in the line does that. A claim with a priority takes one request
// on a free key, two in a line that has priorities, and three as the first one with a priority.
//
// An observer reads the line of its key once and follows it with a watch of its own.
//
// A claim with a lock-delay has a second key, on a second lease that ends later by the delay. The
// delay is in whole seconds; after an unclean release it is at least what the servers grant, about
// two seconds.
//
// # Time
//
// A lease is believed in from the instant before the last answered renewal was sent, for its TTL
// less one part in a thousand, on the monotonic clock. The servers let it live longer: up to a
// second normally, and after a change of leader up to a full TTL more, since the new leader begins
// to count anew. Only takeover from a holder that died waits for that.
//
// etcd has no clock to compare a deadline with. An acquire that is under way when its caller gives
// up is stopped by a tombstone: a release with Uncertain set writes one, which stays for one to two
// minutes. A copy that arrives later than that would be granted to nobody, and block its key until
// the lease of its process ends.
//
// A release that gets no answer is repeated in the background, up to 1024 at a time. Claims beyond
// that are left to their lease, which is given up, while what is held moves to a new one.
//
// # What it does not promise
//
// Grants and releases are durable and linearizable: a majority of the members has written them. Two
// holders can believe in one key at the same time only when
//
//   - a process is paused in the middle of its work, so that it goes on after its lease has ended,
//   - a server's clock runs faster than the holder's by more than one part in a thousand,
//   - a leader was paused for longer than the TTL: when it goes on it may end leases that were
//     renewed elsewhere, before it learns that another leads. Their holders are told at once,
//   - the cluster is restored from a snapshot. Revisions, and with them tokens, then go back unless
//     it is restored with a bumped revision; raise the epoch of the locks in any case.
//
// A resource that checks tokens refuses the earlier holder in all of these but the last: see
// [Backend.Guard] for data in this cluster, and package fence.
//
// Without a majority nothing is granted, and what is held ends at its time.
//
// Windows are not there: a hand-over costs no request of the next holder either way, and one that is
// dead does not stand in the line any more. Requests for a priority with a limit other than 1, an
// epoch or a lock-delay, for the transfer of a share, and for a weight that is lowered to anything but 1 match
// lease.ErrUnsupported.
//
// # On the servers
//
// All keys begin with the prefix and the version of the format, <prefix>/1/. A user needs
// read and write permission on that range. What stays behind is the marks of fences; everything
// else is on a lease. Run the servers with automatic compaction: until then they keep each claim
// that ever was.
//
// Each claim that has to wait reads the line of its key, and each end of a claim is told to every
// backend object of the prefix. So this is for some hundreds of claims in a line, and parties that
// have nothing to do with each other better use prefixes of their own. At most 8192 can wait for a
// key.
package etcdbackend
