package etcdbackend

import (
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/concord-go/concord/lease"
)

// formatVersion stands in every name, so that a later layout can live beside this one.
const formatVersion = "1"

// names makes the names of all keys of one prefix:
//
//	<prefix>/1/l/<key>/<slot>~<weight>~<limit>~<ttl>  a claim
//	<prefix>/1/r/<key>/<slot>                         a word to the holder of that claim
//	<prefix>/1/t/<attempt>                            a tombstone
//	<prefix>/1/f/<resource>                           a fence mark
//
// A slot names one of the claims that a backend object has on a key at the same time, and is used
// again and again. Were claims named by their attempts, every read of a line would walk over the
// names of all that ever stood in it, which etcd keeps until it compacts.
//
// In keys and resources "%" and "/" are percent-escaped, so that none is the beginning of another.
// All that the rule needs stands in the name of a claim: ranges need no values, and an event that
// tells of a deletion carries nothing but the name. A name whose last element begins with "!" is
// no claim; later versions keep markers there. The ttl is in seconds and may be followed by
// letters.
type names struct {
	root   string // "shop/1/"
	claims string // "shop/1/l/"
	words  string // "shop/1/r/"
}

func newNames(prefix string) *names {
	root := prefix + "/" + formatVersion + "/"
	return &names{root: root, claims: root + "l/", words: root + "r/"}
}

// escaper has two characters only: etcd keys may hold any other byte as it is.
var escaper = strings.NewReplacer("%", "%25", "/", "%2F")

// line is the beginning of the names of all claims of a key.
func (n *names) line(key string) string { return n.claims + escaper.Replace(key) + "/" }

// seatOf is the beginning of the name of a claim, whatever its weight, limit and ttl.
func seatOf(line, slot string) string { return line + slot + "~" }

// claimName is the full name of a claim.
func claimName(line, slot string, c *lease.Claim, seconds int64) string {
	b := make([]byte, 0, len(line)+64)
	b = append(b, line...)
	b = append(b, slot...)
	b = append(b, '~')
	b = strconv.AppendInt(b, c.Weight, 10)
	b = append(b, '~')
	b = strconv.AppendInt(b, c.Limit, 10)
	b = append(b, '~')
	return string(strconv.AppendInt(b, seconds, 10))
}

// wordLine is the beginning of the names of all words to holders of a key, given its line.
func (n *names) wordLine(line string) string { return n.words + line[len(n.claims):] }

func (n *names) word(line, slot string) string { return n.wordLine(line) + slot }

func (n *names) tombstone(a lease.Attempt) string { return n.root + "t/" + string(a) }

func (n *names) mark(resource string) string { return n.root + "f/" + escaper.Replace(resource) }

// cut splits a name at its last slash: the line of the key, and the claim or slot.
func cut(name string) (line, last string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i+1], name[i+1:]
}

// member is one claim in the line of a key, read from its name.
type member struct {
	name   string
	slot   string
	weight int64
	limit  int64
	ttl    int64 // seconds, when it was made
	rev    int64 // create revision: the order of the line, and the token
}

// parseMember reads a name. What is not a claim is not ok.
func parseMember(name string, rev int64) (m member, ok bool) {
	_, last := cut(name)
	parts := strings.Split(last, "~")
	if len(parts) < 4 || parts[0] == "" || last[0] == '!' {
		return member{}, false
	}
	weight, err1 := strconv.ParseInt(parts[1], 10, 64)
	limit, err2 := strconv.ParseInt(parts[2], 10, 64)
	digits := strings.TrimRight(parts[3], "abcdefghijklmnopqrstuvwxyz")
	ttl, err3 := strconv.ParseInt(digits, 10, 64)
	ok = err1 == nil && err2 == nil && err3 == nil &&
		weight >= 1 && weight <= lease.MaxWeight && limit >= 0 && limit <= lease.MaxWeight && ttl >= 0
	return member{name, parts[0], weight, limit, ttl, rev}, ok
}

// members reads a range that is sorted by create revision.
func members(kvs []*mvccpb.KeyValue) []member {
	list := make([]member, 0, len(kvs))
	for _, kv := range kvs {
		if m, ok := parseMember(string(kv.Key), kv.CreateRevision); ok {
			list = append(list, m)
		}
	}
	return list
}
