package redisbackend

import (
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	// formatVersion stands in every name, so that a later layout can live beside this one.
	formatVersion = "1"

	// buckets is the number of hash tags over which keys are spread. All that belongs to one key
	// lies under one tag and so on one node of a cluster. The number can never change for a
	// prefix: processes that disagree about it do not see each other's locks.
	buckets = 128

	// layout is what the start-up check stores, and compares with what it finds.
	layout = "buckets=128 hash=fnv1a64"
)

// The kinds of key, see lua/steps.lua and lua/limit.lua for what they hold.
const (
	kindLease     = "l:"
	kindQueue     = "q:"
	kindSeats     = "s:"
	kindTombstone = "t:"
	kindCounter   = "c"
	kindFence     = "f:"
	kindLimit     = "r:"
	kindChannel   = "w:"
	kindObserved  = "k:"
)

// names makes the names of all keys and channels of one prefix:
//
//	<prefix>:1:{<prefix>.<bucket>}:<kind>:<user key>
//
// The prefix holds no brace and no colon, so the first pair of braces is always ours: a user key
// cannot move a slot. The user key comes last and as it is, so two keys cannot collide.
type names struct {
	root     string          // "shop:1:"
	heads    [buckets]string // "shop:1:{shop.17}:"
	counters [buckets]any    // names of the token counters
}

func newNames(prefix string) *names {
	n := &names{root: prefix + ":" + formatVersion + ":"}
	for i := range n.heads {
		n.heads[i] = n.root + "{" + prefix + "." + strconv.Itoa(i) + "}:"
		n.counters[i] = n.heads[i] + kindCounter
	}
	return n
}

func (n *names) config() string { return n.root + "cfg" }

// channel is where events for one backend object are published.
func (n *names) channel(proc string) string { return n.root + kindChannel + proc }

// shardChannel is the same in a cluster, where a script can only publish in the slot of its keys:
// a channel for each bucket.
func (n *names) shardChannel(bucket int, proc string) string {
	return n.heads[bucket] + kindChannel + proc
}

// keys are the names that a script about one claim takes. They are passed as pointers into one
// piece of memory, which the library reads as it reads strings.
type keys struct {
	lease     string // the hash
	queue     string
	seats     string
	tombstone string // of the attempt
	counter   any    // of tokens
}

// keys makes the names for a key and an attempt on it. All are cut from one string.
func (n *names) keys(key, attempt string) *keys {
	b := bucket(key)
	head := n.heads[b]
	all := head + kindLease + key + head + kindQueue + key + head + kindSeats + key + head + kindTombstone + attempt
	i := len(head) + len(kindLease) + len(key)
	return &keys{all[:i], all[i : 2*i], all[2*i : 3*i], all[3*i:], n.counters[b]}
}

// observed is the channel where the changes of an announced key are published.
func (n *names) observed(key string) string { return n.heads[bucket(key)] + kindObserved + key }

// mark returns the name of the fence mark of a resource. It lies in the slot of the Redis key of
// that name if a hash tag can express that slot (ok), so that one script can check the mark and
// write the key:
//
//	<prefix>:1:f:{<tag>}:<resource>
//
// Else it lies in a bucket as any other key does.
func (n *names) mark(resource string) (name string, ok bool) {
	tag := hashTag(resource)
	if strings.IndexByte(tag, '}') >= 0 {
		return n.heads[bucket(resource)] + kindFence + resource, false
	}
	return n.root + kindFence + "{" + tag + "}:" + resource, true
}

// limit is the name of the state of a rate limit. Policies of another shape count under another name,
// so that processes which change over from one to the other do not make each other begin anew. The
// shape holds no colon.
func (n *names) limit(shape, key string) string {
	return n.heads[bucket(key)] + kindLimit + shape + ":" + key
}

// bucket is the FNV-1a hash (64 bit) of the routing part of a key, modulo the number of buckets.
func bucket(key string) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	part := hashTag(key)
	for i := 0; i < len(part); i++ {
		h = (h ^ uint64(part[i])) * prime
	}
	return int(h % buckets)
}

// hashTag is the part of a key that Redis hashes to find its slot: the text between the first
// brace and the next closing one if there is any, else the whole key.
func hashTag(key string) string {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if j := strings.IndexByte(key[i+1:], '}'); j > 0 {
			return key[i+1 : i+1+j]
		}
	}
	return key
}

// procName names one backend object: 64 random bits.
func procName(bits [8]byte) string { return base64.RawURLEncoding.EncodeToString(bits[:]) }
