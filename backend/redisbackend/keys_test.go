package redisbackend

import (
	"strings"
	"testing"
)

// Names are a wire format: processes of different versions must agree about them.
func TestNamesGolden(t *testing.T) {
	n := newNames("shop")
	for _, c := range []struct{ key, lease, queue, seats, counter string }{
		{"orders/42", "shop:1:{shop.95}:l:orders/42", "shop:1:{shop.95}:q:orders/42", "shop:1:{shop.95}:s:orders/42", "shop:1:{shop.95}:c"},
		{"a", "shop:1:{shop.12}:l:a", "shop:1:{shop.12}:q:a", "shop:1:{shop.12}:s:a", "shop:1:{shop.12}:c"},
		{"{a}b", "shop:1:{shop.12}:l:{a}b", "shop:1:{shop.12}:q:{a}b", "shop:1:{shop.12}:s:{a}b", "shop:1:{shop.12}:c"},
		{"x{a}{y}", "shop:1:{shop.12}:l:x{a}{y}", "shop:1:{shop.12}:q:x{a}{y}", "shop:1:{shop.12}:s:x{a}{y}", "shop:1:{shop.12}:c"},
		{"{}a", "shop:1:{shop.12}:l:{}a", "shop:1:{shop.12}:q:{}a", "shop:1:{shop.12}:s:{}a", "shop:1:{shop.12}:c"},
		{"a\x00\xff", "shop:1:{shop.97}:l:a\x00\xff", "shop:1:{shop.97}:q:a\x00\xff", "shop:1:{shop.97}:s:a\x00\xff", "shop:1:{shop.97}:c"},
	} {
		l, q, s, counter := n.lease(c.key)
		if l != c.lease || q != c.queue || s != c.seats || counter != c.counter {
			t.Errorf("names of %q: %q %q %q %q", c.key, l, q, s, counter)
		}
	}
	for _, c := range []struct{ what, got, want string }{
		{"tombstone", tombstoneOf(n, "a", att), "shop:1:{shop.12}:t:AAAAAAAAAAAAAAAAAAAAAA"},
		{"channel", n.channel("AAAAAAAAAAA"), "shop:1:w:AAAAAAAAAAA"},
		{"sharded channel", n.shardChannel(12, "AAAAAAAAAAA"), "shop:1:{shop.12}:w:AAAAAAAAAAA"},
		{"config", n.config(), "shop:1:cfg"},
		{"limit", n.limit("ad", "{a}b"), "shop:1:{shop.12}:r:ad:{a}b"},
		{"mark", first(n.mark("order:7")), "shop:1:f:{order:7}:order:7"},
		{"mark with tag", first(n.mark("{7}order")), "shop:1:f:{7}:{7}order"},
		{"mark without a slot", first(n.mark("a}b")), "shop:1:{shop.83}:f:a}b"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func first(s string, _ bool) string { return s }

func tombstoneOf(n *names, key, attempt string) string {
	_, _, _, t, _ := n.claim(key, attempt)
	return t
}

// slot is the rule of the Redis Cluster specification.
func slot(key string) uint16 {
	if s := strings.IndexByte(key, '{'); s >= 0 {
		if e := strings.IndexByte(key[s+1:], '}'); e > 0 {
			key = key[s+1 : s+1+e]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}

func TestSlotRule(t *testing.T) {
	if got := slot("123456789"); got != 0x31C3 { // of the specification
		t.Fatalf("slot = %#x", got)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "{a}", "{}", "}{", "a{b}c", "{{a}}", "a:b", "l:a", "\x00", "ä}", "{a", "a}"} {
		f.Add(s, "a")
		f.Add("a", s)
	}
	n := newNames("shop")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			t.Skip("refused before a name is made")
		}
		la, qa, sa, ca := n.lease(a)
		tag := slot(n.heads[bucket(a)])
		lc, qc, sc, ta, cc := n.claim(a, att)
		if lc != la || qc != qa || sc != sa || cc != ca {
			t.Errorf("claim and lease differ: %q %q %q", lc, qc, cc)
		}
		all := []string{la, qa, sa, ca.(string), ta, n.limit("a", a), n.limit("ab", a)}
		for _, name := range all {
			if slot(name) != tag {
				t.Errorf("%q lies in another slot than its bucket", name)
			}
		}
		if slot(n.shardChannel(bucket(a), "x")) != tag {
			t.Errorf("the channel for %q lies in another slot", a)
		}
		mark, ok := n.mark(a)
		if ok && slot(mark) != slot(a) {
			t.Errorf("mark %q of %q lies in another slot", mark, a)
		}
		if !ok && !strings.Contains(a, "}") {
			t.Errorf("no mark for %q", a)
		}
		all = append(all, mark, n.config(), n.channel("x"))
		seen := map[string]bool{}
		for _, name := range all {
			if seen[name] {
				t.Errorf("%q stands for two things", name)
			}
			seen[name] = true
		}
		if a == b {
			return
		}
		lb, qb, sb, _ := n.lease(b)
		mb, _ := n.mark(b)
		for _, name := range []string{lb, qb, sb, mb, n.limit("a", b), n.limit("ab", b)} {
			if seen[name] {
				t.Errorf("%q and %q share the name %q", a, b, name)
			}
		}
	})
}
