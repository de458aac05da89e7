package membership

import (
	"testing"
)

func FuzzMembers(f *testing.F) {
	f.Add("10.0.0.7:80", "z1", 1, []byte("meta"), []byte("1 1 3 2 abcz1"))
	f.Add("", "", MaxWeight, []byte(nil), []byte("1 0 0 0 "))
	f.Add("a b", "1 2", 7, []byte("1 1 x"), []byte("1 1 -1 9 abc"))
	f.Fuzz(func(t *testing.T, addr, zone string, weight int, meta, nonsense []byte) {
		m := Member{ID: "a", Addr: addr, Zone: zone, Weight: weight, Meta: meta}
		got, ok := decode("a", m.encode())
		if valid := len(m.validate()) == 0; ok != valid || valid && !got.equal(&m) {
			t.Errorf("%+v became %+v, %v", m, got, ok)
		}
		if got, ok := decode("a", nonsense); ok && len(got.validate()) > 0 {
			t.Errorf("%q became %+v", nonsense, got)
		}
	})
}
