package election

import (
	"bytes"
	"testing"
)

func FuzzCandidates(f *testing.F) {
	f.Add("10.0.0.7:80", []byte("meta"), []byte("1 3 abc"))
	f.Add("", []byte(nil), []byte("1 4 abc"))
	f.Add("a b", []byte("1 1 x"), []byte("1 -1 abc"))
	f.Fuzz(func(t *testing.T, addr string, meta, nonsense []byte) {
		gotAddr, gotMeta := decode(encode(addr, meta))
		if gotAddr != addr || !bytes.Equal(gotMeta, meta) {
			t.Errorf("%q %q became %q %q", addr, meta, gotAddr, gotMeta)
		}
		decode(nonsense)
	})
}
