package etcdbackend

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/concord-go/concord/lease"
)

// oracle is the rule in its own words.
func oracle(list []member, own int64, limit int64) bool {
	var sum int64
	counted := map[int64]map[bool]bool{}
	for _, m := range list {
		if m.rev > own {
			continue
		}
		if counted[m.rev] == nil {
			counted[m.rev] = map[bool]bool{}
		}
		if !counted[m.rev][m.rest] { // a key and its shade are one
			sum += m.weight
		}
		counted[m.rev][m.rest] = true
	}
	return limit == 0 || sum <= limit
}

// lineOf is a line of claims with these weights. Each is one to four keys.
func lineOf(weights []int64, limit int64, delay bool) (list []member) {
	for i, weight := range weights {
		m := member{slot: string(rune('a' + i)), limit: limit, rev: int64(10 + i)}
		if delay {
			m.delay = 5
		}
		list = append(list, m.parts(weight)...)
	}
	return list
}

func TestRule(t *testing.T) {
	for n := range 81 * 2 { // four claims of weight 1 to 3, of which a key is taken out one after the other
		weights := []int64{int64(n%3 + 1), int64(n/3%3 + 1), int64(n/9%3 + 1), int64(n/27%3 + 1)}
		for limit := range int64(7) {
			all := lineOf(weights, limit, n >= 81)
			for i, weight := range weights {
				own := member{limit: limit, rev: int64(10 + i)}
				var before []member
				for _, m := range all {
					if m.rev < own.rev {
						before = append(before, m)
					}
				}
				a := aheadOf(&view{list: before}, &own)
				for gone := 0; ; gone++ {
					left := slices.Concat(before[gone:], []member{{weight: weight, rev: own.rev}})
					if got, want := a.grants(weight), oracle(left, own.rev, limit); got != want {
						t.Fatalf("%v, limit %d, claim %d, %d keys gone: %v, want %v", weights, limit, i, gone, got, want)
					}
					if gone == len(before) {
						break
					}
					a.gone(&before[gone])
					a.gone(&before[gone]) // told twice
					a.gone(&member{slot: "a stranger"})
				}
			}
		}
	}
}

// Whatever is taken out of a line, in whatever order: the weight of those who are granted is at
// most the limit, they are the first of the line, and nobody who was granted is not any more.
func FuzzRule(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1, 1}, byte(3), []byte{3, 0, 1, 9})
	f.Add([]byte{9, 1, 1, 1}, byte(9), []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, raw []byte, limit byte, ends []byte) {
		weights := make([]int64, min(len(raw), 12))
		most := int64(limit%9) + 1
		for i := range weights {
			weights[i] = int64(raw[i])%most + 1
		}
		all := lineOf(weights, most, len(ends)%2 == 1)
		views := make([]ahead, len(weights))
		for i := range weights {
			var before []member
			for _, m := range all {
				if m.rev < int64(10+i) {
					before = append(before, m)
				}
			}
			views[i] = aheadOf(&view{list: before}, &member{limit: most, rev: int64(10 + i)})
		}
		granted := make([]bool, len(weights))
		for n := 0; ; n++ {
			present, sum, waits, waiting := map[int64]int64{}, int64(0), false, 0
			counted := map[string]bool{}
			for _, m := range all {
				part := m.slot
				if m.rest {
					part += " rest"
				}
				if !counted[part] {
					present[m.rev] += m.weight
				}
				counted[part] = true
			}
			for i, weight := range weights {
				there := present[int64(10+i)]
				now := views[i].grants(weight)
				if granted[i] && !now {
					t.Fatalf("%v of %d: claim %d is not granted any more", weights, most, i)
				}
				granted[i] = now
				if there == 0 {
					continue
				}
				if rank := views[i].rank(); !now && rank != waiting {
					t.Fatalf("%v of %d: claim %d has rank %d, want %d", weights, most, i, rank, waiting)
				}
				switch {
				case now && waits:
					t.Fatalf("%v of %d: claim %d overtakes", weights, most, i)
				case now:
					if sum += there; sum > most {
						t.Fatalf("%v of %d: %d are granted", weights, most, sum)
					}
				default:
					waits = true
					waiting++
				}
			}
			if n == len(ends) || len(all) == 0 {
				return
			}
			all = slices.DeleteFunc(slices.Clone(all), endOf(all, int(ends[n])%len(all), granted, func(m *member) {
				for k := range views {
					views[k].gone(m)
				}
			}))
		}
	})
}

// endOf chooses the keys that go together with one of them, and tells of each: the rest of a seat
// that is lowered, what lapses, the shades when their time is over, or a whole claim that is released.
func endOf(all []member, i int, granted []bool, told func(*member)) func(member) bool {
	chosen := all[i]
	lapsed := !slices.ContainsFunc(all, func(m member) bool { return m.rev == chosen.rev && !m.shade })
	return func(m member) bool {
		ends := m.rev == chosen.rev
		switch {
		case lapsed:
		case chosen.rest && granted[chosen.rev-10]:
			ends = ends && m.rest
		case !chosen.shade:
			ends = ends && !m.shade
		}
		if ends {
			told(&m)
		}
		return ends
	}
}

func TestRuleOfALongLine(t *testing.T) {
	a := aheadOf(&view{list: lineOf([]int64{1, 1}, 1, false), beyond: 2}, &member{limit: 1, rev: 20})
	if a.beyond != 2 || a.rank() != 3 {
		t.Errorf("%+v, rank %d", a, a.rank())
	}
	a.gone(&member{slot: "a"})
	a.gone(&member{slot: "b"})
	if a.grants(1) || !a.blind(1) {
		t.Error("granted though more may stand before it")
	}
}

func TestLimitInForce(t *testing.T) {
	old, other := member{slot: "a", weight: 1, limit: 2, rev: 10}, member{slot: "b", weight: 1, limit: 3, rev: 11}
	later := member{slot: "c", weight: 1, limit: 1, epoch: 1, floor: 11, rev: 12}
	for name, c := range map[string]struct {
		view    view
		own     member
		limit   int64
		granted bool
		rank    int
	}{
		"alone":                       {view{}, member{limit: 5}, 5, true, 0},
		"as the first says":           {view{list: []member{old}}, member{limit: 2}, 2, true, 0},
		"another than the first says": {view{list: []member{old}}, member{limit: 3}, 2, false, 0},
		"behind one that disagrees":   {view{list: []member{other, old}}, member{limit: 3}, 3, false, 0},
		"behind one without limit":    {view{list: []member{{slot: "n", weight: 1, limit: 2, rev: 9}, {slot: "z", weight: 1, rev: 10}}}, member{limit: 2}, 2, false, 0},
		"of a later epoch":            {view{list: []member{old, other}, top: later}, member{limit: 1, epoch: 1}, 1, false, 0},
		"of an epoch before":          {view{list: []member{old}, top: later}, member{limit: 2}, 1, false, 0},
		"the first of its epoch":      {view{list: []member{old}, top: later}, member{limit: 9, epoch: 2}, 9, true, 0},
	} {
		c.own.rev = 20
		a := aheadOf(&c.view, &c.own)
		if a.limit != c.limit || a.grants(1) != c.granted || a.rank() != c.rank {
			t.Errorf("%s: limit %d, granted %v, rank %d", name, a.limit, a.grants(1), a.rank())
		}
	}
	if rev := (&view{list: lineOf([]int64{1, 2, 1}, 3, true)}).seated(3, 0); rev != 11 {
		t.Errorf("seated up to %d", rev)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("a", "a/b", uint32(1), uint32(1), uint16(0), 0)
	f.Add("%2F", "/", uint32(7), uint32(0), uint16(513), 7)
	f.Add("a~1~1~2", "!seat", uint32(1), uint32(9), uint16(7), -511)
	f.Add("^", "+~", uint32(4), uint32(9), uint16(15), 512)
	n := newNames("shop")
	f.Fuzz(func(t *testing.T, k1, k2 string, weight, limit uint32, more uint16, priority int) {
		line := n.line(k1)
		if other := n.line(k2); k1 != k2 && (strings.HasPrefix(line, other) || strings.HasPrefix(other, line)) {
			t.Fatalf("%q and %q: one line begins with the other", k1, k2)
		}
		want := member{
			slot: "p.0.1", weight: int64(weight%lease.MaxWeight) + 1, limit: int64(limit % lease.MaxWeight), ttl: 30, rev: 5,
			rest: more&1 > 0, shade: more&2 > 0, delay: int64(more >> 2 & 3), floor: int64(more >> 4 & 7), epoch: int64(more >> 7),
			priority: priority % (lease.MaxPriority + 1), announce: priority&1 > 0,
		}
		seat := seatOf(line, "p.0.1", want.epoch, want.limit)
		want.name = want.nameOf(seat)
		m, ok := parseMember(want.name, 5)
		if !ok || m != want {
			t.Fatalf("%q is read as %+v, %v", want.name, m, ok)
		}
		if l, _ := cut(want.name); l != line {
			t.Fatalf("%q is in line %q", want.name, l)
		}
		if strings.HasPrefix(want.name, seat) == want.shade || strings.HasPrefix(want.name, shadeOf(seat)) != want.shade {
			t.Fatalf("%q, whose names begin with %q and %q", want.name, seat, shadeOf(seat))
		}
		if c, ok := parseMember(chairOf(seat), 5); want.epoch == 0 && (!ok || !c.chair || c.slot != want.slot || !want.shade && c.name >= want.name) {
			t.Fatalf("the seat key of %q is %+v, %v", want.name, c, ok)
		}
		if in := want.name >= line+"^" && want.name < line+epochEnd; in != (want.epoch > 0) {
			t.Fatalf("%q is among those of later epochs: %v", want.name, in)
		}
		if _, ok := parseMember(bell(line, "p.0.1"), 5); ok || strings.Count(n.word(line, "p.0.1"), "/") != 4 {
			t.Fatal(n.word(line, "p.0.1"))
		}
	})
}

// FuzzParseMember reads names that others may have written.
func FuzzParseMember(f *testing.F) {
	for _, last := range []string{"p.0.1~1~1~30", "^0000000000000000001~0000000003~p.0.1+~2~3~30d5f77r", "!p.0.1", "^~~~~", "a~1~1~1d-1", "p.0.1~!", "p.0.1~1~1~30p1023a", "p~1~1~1p9999"} {
		f.Add("shop/1/l/k/" + last)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m, ok := parseMember(name, 1)
		if ok && !m.chair && (m.weight < 1 || m.priority < lease.MinPriority || m.priority > lease.MaxPriority || m.weight > lease.MaxWeight || m.limit < 0 || m.ttl < 0 || m.delay < 0 || m.floor < 0 || m.epoch < 0 || m.slot == "") {
			t.Fatalf("%q is read as %+v", name, m)
		}
	})
}

func TestNamesOfLaterVersions(t *testing.T) {
	const att = "proc.0.1"
	for last, want := range map[string]bool{
		att + "~1~1~30": true, att + "~1~1~30ab": true, att + "~2~5~0~more": true, att + "~1~1~30d5z7": true,
		"^0000000000000000001~0000000003~" + att + "~1~3~30": true, att + "+~1~1~30d5": true,
		att + "~!": true, att + "~1~1~30p519": true, att + "~1~1~30p": false, att + "~1~1~30p1024": false, "~!": false,
		"!seat": false, "!lim~1~2": false, att: false, att + "~1~1": false, att + "~0~1~30": false,
		att + "~x~1~30": false, "~1~1~30": false, "": false, "+~1~1~30": false, att + "~1~1~30d99999999999999999999": false,
		"^0~1~" + att + "~1~1~30": false, "^x~1~" + att + "~1~1~30": false, att + "~1~1~+30": false, att + "~-1~1~30": false,
	} {
		if list := entries([]*mvccpb.KeyValue{{Key: []byte("shop/1/l/k/" + last)}}); (len(list) == 1) != want {
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
		w := word{"afg"[seq%3], seq % 1000, 1e9, text}
		if back, err := parseWord([]byte(w.encode())); err != nil || back != w {
			t.Fatalf("%+v is read as %+v, %v", w, back, err)
		}
	})
}

// What counts more than age in a line of limit 1: who is seated, who waits before a claim, and who is
// granted by age all the same.
func TestOrderOfALine(t *testing.T) {
	at := func(rev int64, priority int, floor int64) member {
		m := member{slot: string(rune('a' + rev - 10)), weight: 1, limit: 1, rev: rev, priority: priority, floor: floor}
		m.name = m.nameOf("shop/1/l/k/" + m.slot + "~")
		return m
	}
	chair := func(rev, of int64) member {
		slot := string(rune('a' + of - 10))
		return member{name: chairOf("shop/1/l/k/" + slot + "~"), slot: slot, limit: 1, chair: true, rev: rev}
	}
	for name, c := range map[string]struct {
		line    []member
		holder  int   // place of the one who is seated, or -1
		heir    int64 // revision of the next
		ranks   []int // of each claim
		granted []int // places of those that the rule grants by age
	}{
		"by age":                      {[]member{at(10, 0, 0), at(11, 0, 0)}, 0, 11, []int{0, 0}, []int{0}},
		"seated before a priority":    {[]member{at(10, 0, 0), at(11, 0, 0), at(12, 3, 10)}, 0, 12, []int{1, 1, 0}, []int{0}},
		"an empty seat":               {[]member{at(11, 0, 0), at(12, 3, 10), at(13, 3, 0)}, -1, 12, []int{2, 0, 1}, []int{0}},
		"a seat key":                  {[]member{at(10, 0, 0), at(11, 1, 0), at(12, 3, 0), chair(13, 11)}, 1, 12, []int{1, 0, 0}, nil},
		"a seat key without priority": {[]member{at(10, 0, 0), at(11, 0, 0), at(12, 0, 0), chair(13, 12)}, 2, 10, []int{0, 1, 2}, nil},
		"below none":                  {[]member{at(10, -1, 0), at(11, 0, 0), at(12, -2, 0)}, -1, 11, []int{1, 0, 2}, []int{0}},
		"nobody":                      {nil, -1, 0, nil, nil},
	} {
		var line []entry
		for _, m := range c.line {
			line = append(line, entry{m, &mvccpb.KeyValue{Key: []byte(m.name), CreateRevision: m.rev}})
		}
		all := groups(line)
		held := holder(all)
		if held != c.holder {
			t.Errorf("%s: %d is seated, want %d", name, held, c.holder)
		}
		if next := heir(all, held); next == nil && c.heir != 0 || next != nil && next.rev != c.heir {
			t.Errorf("%s: %+v is next, want revision %d", name, next, c.heir)
		}
		var granted []int
		for i, want := range c.ranks {
			own := all[i].member
			v := &view{}
			v.scan(line, own.rev)
			a := aheadOf(v, &own)
			if i != held && a.rank() != want {
				t.Errorf("%s: claim %d has rank %d, want %d", name, i, a.rank(), want)
			}
			if a.grants(1) && own.seat == 0 {
				granted = append(granted, i)
			}
		}
		if !slices.Equal(granted, c.granted) {
			t.Errorf("%s: age grants %v, want %v", name, granted, c.granted)
		}
	}
}
