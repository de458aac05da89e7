// Package redisbackend keeps the state of Concord's primitives on Redis, version 7 or later: a
// single server, a primary that Sentinel watches over, or a Redis Cluster.
//
//	client := redis.NewClient(&redis.Options{
//		Addr:                  "redis:6379",
//		ContextTimeoutEnabled: true,        // a call ends with its ctx
//		ReadTimeout:           time.Second, // a lost answer is noticed
//		DialTimeout:           time.Second,
//		DialerRetries:         1,
//	})
//	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "shop"})
//	…
//	err = be.Check(ctx) // version, eviction, persistence, permissions, client options
//	locks, err := lock.New(be.Leases(), nil)
//	…
//	locks.Close(ctx)
//	be.Close(ctx)
//	client.Close() // it stays yours
//
// # Set-ups
//
// The client says which it is: redis.NewClient for a single server, redis.NewFailoverClient for
// Sentinel, redis.NewClusterClient for a cluster. All take the options above, and a cluster client
// must have ContextTimeoutEnabled. The keys are the same everywhere.
//
// In a cluster keys are spread over 128 buckets, each in one slot. Renewals are sent for each
// bucket by itself, at most 100 claims to a request, and messages go through sharded channels, with
// a connection for each bucket in which a claim has to wait, 32 at most; claims in further buckets
// ask instead of being told. A cluster client that is given for a single server, or the other way
// round, is reported by every call and by [Backend.Check].
//
// # What it does
//
// Every verb is one Lua script and one round trip. The next waiter is granted by the release
// itself, and told by a message, so handing a lock over costs two requests however many wait. All
// times are taken from the server's clock; those of clients do not matter. A renewal carries up to
// 100 claims.
//
// A decision about a rate limit is one request, too, and several at once are one for each node. With
// Options.CoalesceLimits, calls of many goroutines share requests, up to 128 ops in one.
//
// Messages are hints. One connection for them is opened when a claim of this backend has to wait
// for the first time, and dropped 30 s after the last one is watched. While it is broken, waiters
// ask, and learn the same a little later. A holder is told by message that it is asked to leave
// only while that connection is open; its next renewal tells it in any case.
//
// Commands are never sent again by the client library, whatever its MaxRetries: the caller
// decides, by an attempt id that makes each verb idempotent. A call that a rate limit did not answer is
// never sent again, so it is counted once at most.
//
// # What it does not promise
//
// Mutual exclusion holds as long as the server keeps its data and its clock does not step. It is
// lost
//
//   - at a fail-over of Sentinel or a cluster. Replication is asynchronous: the new primary may not
//     know of the last grants, and grants again. Options.WaitReplicas makes that rare and not
//     impossible. A primary that was cut off goes on granting until it learns that it was replaced.
//   - at a restart without append-only file, or with one that is not written at each command.
//   - when claims are evicted. Run the server with maxmemory-policy noeviction. Then, out of memory,
//     new claims fail, while renewals, releases and hand-offs go on.
//   - when the server's clock steps forward: claims end early. When it steps back they live longer.
//
// Where claims are lost, so is what rate limits have counted, and more is let through than they say.
//
// In all of these cases tokens still increase from grant to grant, because they are the larger of
// a counter and the clock in microseconds, unless counter and clock are lost together. So a
// resource that checks tokens refuses the earlier of two holders: see [Backend.Guard] for data on
// this server, and package fence.
//
// Observers of a key are told of every change while their connection stands, and of every gap. Each
// has a connection of its own.
//
// # On the server
//
// Recommended: maxmemory-policy noeviction, appendonly yes, and appendfsync always if a grant must
// survive a crash. An ACL user needs the keys and channels <prefix>:*, and the commands
//
//	EVAL EVALSHA TIME PUBLISH SUBSCRIBE UNSUBSCRIBE PING EXISTS GET MGET SET DEL HGET HMGET HGETALL
//	HSCAN HSET HDEL HINCRBY ZADD ZCARD ZRANGE ZRANGEBYSCORE ZREVRANGE ZRANK ZREM ZSCORE PEXPIREAT
//
// In a cluster it needs SPUBLISH, SSUBSCRIBE and SUNSUBSCRIBE in place of PUBLISH, SUBSCRIBE and
// UNSUBSCRIBE; with Options.WaitReplicas, WAIT. INFO, CONFIG|GET and CLUSTER|INFO serve Check
// alone; HELLO, CLIENT, ASKING, CLUSTER|SLOTS and COMMAND the client library. docs/security.md has the
// rules as an administrator writes them.
//
// All keys begin with the prefix, the version of the format and a hash tag,
// <prefix>:1:{<prefix>.<bucket>}:. Keys of claims and rate limits expire by themselves; what stays is one counter
// for each of 128 buckets, the layout, and the marks of fences. To delete the counters is safe
// while the server's clock is right.
package redisbackend
