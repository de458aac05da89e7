package etcdbackend

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// blob is the value of a claim: what others may read of it.
//
//	<attempt>:<number of the metadata>:<length of the owner>:<owner><metadata>
type blob struct {
	attempt lease.Attempt
	seq     uint64
	owner   string
	meta    []byte
}

func (b *blob) encode() string {
	s := string(b.attempt) + ":" + strconv.FormatUint(b.seq, 10) + ":" + strconv.Itoa(len(b.owner)) + ":" + b.owner
	return s + string(b.meta)
}

// brief is the value of the other keys of a claim.
func (b *blob) brief() string {
	short := blob{attempt: b.attempt, owner: b.owner}
	return short.encode()
}

func parseBlob(value []byte) (blob, error) {
	attempt, rest, ok := bytes.Cut(value, []byte(":"))
	number, rest, ok1 := bytes.Cut(rest, []byte(":"))
	size, rest, ok2 := bytes.Cut(rest, []byte(":"))
	seq, err1 := strconv.ParseUint(string(number), 10, 64)
	n, err2 := strconv.Atoi(string(size))
	if !ok || !ok1 || !ok2 || err1 != nil || err2 != nil || n < 0 || n > len(rest) {
		return blob{}, malformed(value)
	}
	return blob{lease.Attempt(attempt), seq, string(rest[:n]), bytes.Clone(rest[n:])}, nil
}

// word is the value of a word to a claim.
//
//	<a = asked to leave, f = forced out, g = given the seat> <token> <grace in ms> <reason>
//
// The reason is everything to the end and may hold any bytes. The token of a seat that is given is the
// revision of the word.
type word struct {
	kind   byte
	token  uint64
	grace  time.Duration
	reason string
}

// The kinds of word.
const (
	toLeave = 'a'
	isOut   = 'f'
	hasSeat = 'g'
)

func (w *word) encode() string {
	ms := (w.grace + time.Millisecond - 1) / time.Millisecond
	return string(w.kind) + " " + strconv.FormatUint(w.token, 10) + " " + strconv.FormatInt(int64(ms), 10) + " " + w.reason
}

func parseWord(value []byte) (word, error) {
	parts := strings.SplitN(string(value), " ", 4)
	if len(parts) != 4 || !slices.Contains([]string{"a", "f", "g"}, parts[0]) {
		return word{}, malformed(value)
	}
	token, err1 := strconv.ParseUint(parts[1], 10, 64)
	ms, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err1 != nil || err2 != nil || token > fence.MaxSequence || ms < 0 || ms > lease.MaxTTL.Milliseconds() {
		return word{}, malformed(value)
	}
	return word{parts[0][0], token, time.Duration(ms) * time.Millisecond, parts[3]}, nil
}
