package etcdbackend

import (
	"strings"

	"github.com/concord-go/concord/lease"
)

// formatVersion stands in every name, so that a later layout can live beside this one.
const formatVersion = "1"

// names makes the names of all keys of one prefix:
//
//	<prefix>/1/l/<key>/<claim>   a claim, see member
//	<prefix>/1/l/<key>/!<slot>   a bell: its deletion makes those who wait read the line again
//	<prefix>/1/r/<key>/<slot>    a word to the holder of a claim
//	<prefix>/1/r/<key>/!         a note that a seat key was made, for a minute or two
//	<prefix>/1/t/<attempt>       a tombstone
//	<prefix>/1/f/<resource>      a fence mark
//	<prefix>/1/q/<shape>/<key>   what was counted for a rate limit
//
// A slot names one of the claims that a backend object has on a key at the same time, and is used
// again and again. Were claims named by their attempts, every read of a line would walk over the
// names of all that ever stood in it, which etcd keeps until it compacts.
//
// In keys and resources "%" and "/" are percent-escaped, so that none is the beginning of another.
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

// wordLine is the beginning of the names of all words to holders of a key, given its line.
func (n *names) wordLine(line string) string { return n.words + line[len(n.claims):] }

func (n *names) word(line, slot string) string { return n.wordLine(line) + slot }

// note is the name of the key that is written with each seat key of a line.
func (n *names) note(line string) string { return n.word(line, "!") }

func bell(line, slot string) string { return line + "!" + slot }

// isBell reports whether a name in a line is that of a bell. Later versions may keep further
// markers under such names.
func isBell(last string) bool { return strings.HasPrefix(last, "!") }

func (n *names) tombstone(a lease.Attempt) string { return n.root + "t/" + string(a) }

func (n *names) mark(resource string) string { return n.root + "f/" + escaper.Replace(resource) }

// limit is the name of what was counted by policies of a shape. Those of another shape count under
// another name, so that processes which change over do not make each other begin anew.
func (n *names) limit(shape, key string) string {
	return n.root + "q/" + shape + "/" + escaper.Replace(key)
}

// cut splits a name at its last slash: the line of the key, and the claim or slot.
func cut(name string) (line, last string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i+1], name[i+1:]
}
