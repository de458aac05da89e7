package fence_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/concord-go/concord/fence"
)

func TestMakeToken(t *testing.T) {
	for _, c := range []struct {
		epoch    int
		sequence uint64
		ok       bool
	}{
		{0, 1, true},
		{0, fence.MaxSequence, true},
		{fence.MaxEpoch, fence.MaxSequence, true},
		{0, 0, false},
		{0, fence.MaxSequence + 1, false},
		{fence.MaxEpoch + 1, 1, false},
		{-1, 1, false},
	} {
		tok, err := fence.MakeToken(c.epoch, c.sequence)
		if c.ok != (err == nil) {
			t.Errorf("MakeToken(%d, %d): %v", c.epoch, c.sequence, err)
			continue
		}
		if !c.ok {
			if !errors.Is(err, fence.ErrInvalid) || tok != 0 {
				t.Errorf("MakeToken(%d, %d): %v, %v; want no token and invalid", c.epoch, c.sequence, tok, err)
			}
			continue
		}
		if tok.Epoch() != c.epoch || tok.Sequence() != c.sequence || int64(tok) < 0 {
			t.Errorf("MakeToken(%d, %d) = %v: epoch %d, sequence %d", c.epoch, c.sequence, tok, tok.Epoch(), tok.Sequence())
		}
	}
}

func TestEpochOutranksSequence(t *testing.T) {
	old, _ := fence.MakeToken(4, fence.MaxSequence)
	young, _ := fence.MakeToken(5, 1)
	if young <= old {
		t.Errorf("%v of the new epoch is not above %v of the old one", young, old)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	for _, s := range []string{"", "0", "-1", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "18446744073709551616",
		"9007199254740992", strings.Repeat("0", 21) + "1", strings.Repeat("9", 400)} {
		if tok, err := fence.ParseToken(s); !errors.Is(err, fence.ErrInvalid) {
			t.Errorf("ParseToken(%q) = %v, %v; want invalid", s, tok, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("1", uint64(1))
	f.Add("9223372036854775807", uint64(1)<<62)
	f.Add("00000000000000000007", uint64(7))
	f.Fuzz(func(t *testing.T, s string, n uint64) {
		if tok, err := fence.ParseToken(s); err == nil {
			if back, err := fence.ParseToken(tok.String()); err != nil || back != tok {
				t.Errorf("%q -> %v -> %v, %v", s, tok, back, err)
			}
		}
		a, b := fence.Token(n>>1), fence.Token(n>>3)
		if len(a.Padded()) != 20 {
			t.Errorf("padded %q", a.Padded())
		}
		if (a < b) != (a.Padded() < b.Padded()) {
			t.Errorf("%v and %v do not compare as their texts do", a, b)
		}
		if a.Validate() == nil {
			if back, err := fence.ParseToken(a.Padded()); err != nil || back != a {
				t.Errorf("padded %v reads as %v, %v", a, back, err)
			}
		}
	})
}
