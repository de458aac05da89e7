package membership

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-go/concord/lease"
)

const (
	maxGroup = 480     // bytes of the name of a group
	maxAddr  = 512     // bytes of an address
	maxZone  = 128     // bytes of the name of a zone
	maxMeta  = 3 << 10 // bytes of metadata

	// MaxWeight is the largest weight of a member.
	MaxWeight = 1_000_000
)

// Member describes one member of a group.
type Member struct {
	// ID names the member and is its own: 1 to 128 bytes.
	ID string

	// Addr is where the member can be reached: at most 512 bytes.
	Addr string

	// Zone is where the member runs: at most 128 bytes.
	Zone string

	// Weight is the member's share of the work, relative to the others: 1 to [MaxWeight].
	Weight int

	// Meta is what else others may read: at most 3 KiB.
	Meta []byte
}

// key is the key of a group. Locks and elections of that name have others.
func key(group string) string { return "membership/" + group }

// limits collects what is out of bounds.
type limits []error

func (l *limits) check(ok bool, field, format string, args ...any) {
	if !ok {
		*l = append(*l, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

// validate returns every problem with m.
func (m *Member) validate() []error {
	var l limits
	l.check(len(m.ID) >= 1 && len(m.ID) <= lease.MaxOwner, "ID", "must have 1 to %d bytes", lease.MaxOwner)
	l.check(len(m.Addr) <= maxAddr, "Addr", "must have at most %d bytes", maxAddr)
	l.check(len(m.Zone) <= maxZone, "Zone", "must have at most %d bytes", maxZone)
	l.check(m.Weight >= 1 && m.Weight <= MaxWeight, "Weight", "must be 1 to %d", MaxWeight)
	l.check(len(m.Meta) <= maxMeta, "Meta", "must have at most %d bytes", maxMeta)
	return l
}

func (m *Member) equal(other *Member) bool {
	return m.ID == other.ID && m.Addr == other.Addr && m.Zone == other.Zone && m.Weight == other.Weight &&
		bytes.Equal(m.Meta, other.Meta)
}

// encode puts all but the ID into the metadata of the claim: "1 weight addrLen zoneLen addrZoneMeta".
// The first word is the version of the format.
func (m *Member) encode() []byte {
	return append(fmt.Appendf(nil, "1 %d %d %d %s%s", m.Weight, len(m.Addr), len(m.Zone), m.Addr, m.Zone), m.Meta...)
}

// leaving is what a member that leaves shows until its seat has ended: others can tell it from one that
// is lost. It is no description of a member.
var leaving = []byte("1 0 leaving")

// decode is the inverse of encode. ok is false for what it cannot read: of a later version, or of
// somebody else.
func decode(id string, b []byte) (m Member, ok bool) {
	f := strings.SplitN(string(b), " ", 5)
	if len(f) != 5 || f[0] != "1" {
		return Member{}, false
	}
	rest := f[4]
	cut := func(size string) string {
		n, err := strconv.Atoi(size)
		if ok = ok && err == nil && n >= 0 && n <= len(rest); !ok {
			return ""
		}
		part := rest[:n]
		rest = rest[n:]
		return part
	}
	weight, err := strconv.Atoi(f[1])
	ok = err == nil
	m = Member{ID: id, Weight: weight, Addr: cut(f[2]), Zone: cut(f[3])}
	if rest != "" {
		m.Meta = []byte(rest)
	}
	if !ok || len(m.validate()) > 0 {
		return Member{}, false
	}
	return m, true
}
