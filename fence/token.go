package fence

import (
	"strconv"
)

const (
	// MaxEpoch is the largest epoch a token can carry.
	MaxEpoch = 1<<10 - 1
	// MaxSequence is the largest sequence number an engine may issue. Engines on Redis and in
	// memory count in microseconds since 1970 and reach it in the year 2255.
	MaxSequence = 1<<sequenceBits - 1

	sequenceBits = 53 // what a double, and so a Lua script, holds exactly

	// paddedLen is the number of digits of the largest uint64.
	paddedLen = 20
)

// Token is the number of an exclusive grant. Of two grants of one resource the later one has the
// larger token, whatever happened in between: expiry, restart, fail-over.
//
// The zero Token means "no grant": locks never issue it and guards refuse it. Tokens are plain
// values, safe to copy, compare, log and send. Numbers above 2^53 do not survive a JSON number
// or a Lua number, so send tokens as text ([Token.String], [ParseToken]).
//
// The upper ten bits of a token are the epoch, the lower 53 the engine's sequence; the top bit is
// always zero, so a token fits a signed 64-bit column.
type Token uint64

// MakeToken joins an epoch and the sequence number issued by an engine. An operator raises the
// epoch when locks move to another engine, or when the engine comes back from an older snapshot:
// every token of the new epoch is larger than every token of the old one.
//
// It returns an [*InvalidError] if the epoch is above [MaxEpoch], or if the sequence is zero or
// above [MaxSequence].
func MakeToken(epoch int, sequence uint64) (Token, error) {
	if epoch < 0 || epoch > MaxEpoch {
		return 0, &InvalidError{Field: "epoch", Problem: "must be 0 to " + strconv.Itoa(MaxEpoch)}
	}
	if sequence == 0 || sequence > MaxSequence {
		return 0, &InvalidError{Field: "sequence", Problem: "must be 1 to 2^53-1"}
	}
	return Token(uint64(epoch)<<sequenceBits | sequence), nil
}

// ParseToken reads what [Token.String] and [Token.Padded] write: a decimal number from 1 to
// 2^63-1. Anything else is an [*InvalidError].
func ParseToken(s string) (Token, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 || len(s) > paddedLen || s[0] == '+' {
		return 0, &InvalidError{Field: "token", Problem: "must be a decimal number from 1 to 2^63-1"}
	}
	t := Token(n)
	return t, t.Validate()
}

// Validate returns an [*InvalidError] for a token that no lock issues: the zero token, one with
// the top bit set, one without a sequence.
func (t Token) Validate() error {
	if t.Sequence() == 0 || t>>63 != 0 {
		return &InvalidError{Field: "token", Problem: "must come from an exclusive grant (not 0, below 2^63)"}
	}
	return nil
}

// Epoch returns the operator's part of the token, 0 to [MaxEpoch].
func (t Token) Epoch() int { return int(t >> sequenceBits & MaxEpoch) }

// Sequence returns the engine's part of the token, 1 to [MaxSequence].
func (t Token) Sequence() uint64 { return uint64(t) & MaxSequence }

// String returns the token as a decimal number.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// Padded returns the token as exactly 20 decimal digits. Such texts compare as the tokens do,
// which lets a resource compare them without 64-bit integers.
func (t Token) Padded() string {
	const zeros = "00000000000000000000"
	s := t.String()
	return zeros[:paddedLen-len(s)] + s
}
