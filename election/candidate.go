package election

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-go/concord/lease"
)

const (
	maxName = 480     // bytes of the name of an election
	maxAddr = 512     // bytes of an address
	maxMeta = 3 << 10 // bytes of metadata
)

// Candidate is who stands for election.
type Candidate struct {
	// ID names the candidate and is its own: 1 to 128 bytes. Two that are alive with one ID are a
	// mistake in the set-up, which Campaign reports as a [*DuplicateError] where it can see it.
	ID string

	// Addr is where the candidate can be reached, for those who look for the leader: at most 512
	// bytes.
	Addr string

	// Meta is what else others may read: at most 3 KiB. Proclaim replaces it during a term.
	Meta []byte

	// Priority: a larger one goes first, -512 to 511. A leader of lower priority is asked to leave.
	Priority int
}

// key is the key of an election. Locks and groups of that name have others.
func key(name string) string { return "election/" + name }

func validate(name string, c *Candidate) (errs []error) {
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	check(len(name) >= 1 && len(name) <= maxName, "name", "must have 1 to %d bytes", maxName)
	check(len(c.ID) >= 1 && len(c.ID) <= lease.MaxOwner, "ID", "must have 1 to %d bytes", lease.MaxOwner)
	check(len(c.Addr) <= maxAddr, "Addr", "must have at most %d bytes", maxAddr)
	check(len(c.Meta) <= maxMeta, "Meta", "must have at most %d bytes", maxMeta)
	check(c.Priority >= lease.MinPriority && c.Priority <= lease.MaxPriority, "Priority",
		"must be %d to %d", lease.MinPriority, lease.MaxPriority)
	return errs
}

// encode puts address and metadata into the metadata of the claim: "1 len addr meta". The first word
// is the version of the format.
func encode(addr string, meta []byte) []byte {
	return append(fmt.Appendf(nil, "1 %d %s", len(addr), addr), meta...)
}

// decode is the inverse of encode. What it cannot read, of a later version or of somebody else, is
// taken for no address and no metadata.
func decode(b []byte) (addr string, meta []byte) {
	rest, ok := strings.CutPrefix(string(b), "1 ")
	size, rest, ok2 := strings.Cut(rest, " ")
	n, err := strconv.Atoi(size)
	if !ok || !ok2 || err != nil || n < 0 || n > len(rest) {
		return "", nil
	}
	if n < len(rest) {
		meta = []byte(rest[n:])
	}
	return rest[:n], meta
}
