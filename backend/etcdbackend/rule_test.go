package etcdbackend

import (
	"bytes"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/concord-go/concord/lease"
)

// oracle is the rule in its own words.
func oracle(list []member, own int64, limit int64) bool {
	var sum int64
	for _, m := range list {
		if m.rev <= own {
			sum += m.weight
		}
	}
	return limit == 0 || sum <= limit
}

func TestRule(t *testing.T) {
	for weights := range 81 { // four claims of weight 1 to 3, which are taken out one after the other
		var list []member
		for i, n := 0, weights; i < 4; i, n = i+1, n/3 {
			list = append(list, member{name: string(rune('a' + i)), weight: int64(n%3 + 1), rev: int64(10 + i)})
		}
		for limit := range int64(7) {
			for own, m := range list {
				a := aheadOf(list, m.rev, len(list))
				left := list
				for gone := 0; ; gone++ {
					if got, want := a.grants(m.weight, limit), oracle(left, m.rev, limit); got != want {
						t.Fatalf("%+v, limit %d, claim %d, %d gone: %v, want %v", list, limit, own, gone, got, want)
					}
					if gone == own {
						break
					}
					a.gone(left[0].name)
					a.gone(left[0].name) // told twice
					a.gone("a stranger")
					left = left[1:]
				}
			}
		}
	}
}

func TestRuleOfALongLine(t *testing.T) {
	list := []member{{name: "a", weight: 1, rev: 1}, {name: "b", weight: 1, rev: 2}}
	a := aheadOf(list, 9, 5) // two that were read, two that were not, and the claim
	if a.beyond != 2 || a.rank() != 3 {
		t.Errorf("%+v, rank %d", a, a.rank())
	}
	a.gone("a")
	a.gone("b")
	if a.grants(1, 1) || !a.blind() {
		t.Error("granted though more may stand before it")
	}
}

func FuzzNames(f *testing.F) {
	f.Add("a", "a/b", uint32(1), uint32(1))
	f.Add("%2F", "/", uint32(7), uint32(0))
	f.Add("a~1~1~2", "!seat", uint32(1), uint32(9))
	n := newNames("shop")
	f.Fuzz(func(t *testing.T, k1, k2 string, weight, limit uint32) {
		line := n.line(k1)
		if other := n.line(k2); k1 != k2 && (strings.HasPrefix(line, other) || strings.HasPrefix(other, line)) {
			t.Fatalf("%q and %q: one line begins with the other", k1, k2)
		}
		c := lease.Claim{Weight: int64(weight%lease.MaxWeight) + 1, Limit: int64(limit % lease.MaxWeight)}
		name := claimName(line, "p.0.1", &c, 30)
		m, ok := parseMember(name, 5)
		want := member{name, "p.0.1", c.Weight, c.Limit, 30, 5}
		if !ok || m != want {
			t.Fatalf("%q is read as %+v, %v", name, m, ok)
		}
		if l, _ := cut(name); l != line {
			t.Fatalf("%q is in line %q", name, l)
		}
		if !strings.HasPrefix(name, seatOf(line, "p.0.1")) || strings.Count(n.word(line, "p.0.1"), "/") != 4 {
			t.Fatal(name, n.word(line, "p.0.1"))
		}
	})
}

func TestNamesOfLaterVersions(t *testing.T) {
	const att = "proc.0.1"
	for last, want := range map[string]bool{
		att + "~1~1~30": true, att + "~1~1~30ab": true, att + "~2~5~0~more": true,
		"!seat": false, "!lim~1~2": false, att: false, att + "~1~1": false, att + "~0~1~30": false,
		att + "~x~1~30": false, "~1~1~30": false, "": false,
	} {
		if list := members([]*mvccpb.KeyValue{{Key: []byte("shop/1/l/k/" + last)}}); (len(list) == 1) != want {
			t.Errorf("%q: %+v", last, list)
		}
	}
}

func FuzzValues(f *testing.F) {
	f.Add([]byte("att:3:2:mex"), uint64(3), "me", []byte("x"))
	f.Add([]byte("a 7 100 be so kind"), uint64(7), "\xff ", []byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte, seq uint64, text string, meta []byte) {
		_, _ = parseBlob(raw)
		_, _ = parseWord(raw)
		b := blob{"attempt", seq, text, meta}
		if back, err := parseBlob([]byte(b.encode())); err != nil || back.attempt != "attempt" || back.seq != seq || back.owner != text || !bytes.Equal(back.meta, meta) {
			t.Fatalf("%+v is read as %+v, %v", b, back, err)
		}
		w := word{seq%2 == 0, seq % 1000, 1e9, text}
		if back, err := parseWord([]byte(w.encode())); err != nil || back != w {
			t.Fatalf("%+v is read as %+v, %v", w, back, err)
		}
	})
}
