package concordhttp

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// maxHashed is how many bytes Hashed takes.
const maxHashed = 8 << 10

// ErrNoKey is what a [KeyFunc] returns for a request that has no key: nobody said who sends it.
var ErrNoKey = errors.New("request has no key")

// ErrKey is matched by every [*KeyError].
var ErrKey = errors.New("key of the request is malformed")

// KeyError says why a request has no usable key. It matches [ErrKey].
type KeyError struct {
	Field   string // the header, or what else the key is made of
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *KeyError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrKey].
func (e *KeyError) Is(target error) bool { return target == ErrKey }

// KeyFunc tells who sends a request: requests with equal keys are counted together. A key has 1 to
// [ratelimit.MaxKey] bytes of any value; a longer one is refused as malformed, and never cut. The error
// is [ErrNoKey] if the request has none, and any other if it has one that is not as it must be.
//
// It runs for everybody who can reach the server, and must be quick.
type KeyFunc func(*http.Request) (string, error)

// ByHeader takes the value of a header as the key. It must stand once: of two, neither is better.
//
// Anybody can send any value, and has a limit of its own for each: use it for keys that something
// outside of the limit checks, and put that around it. A value that is secret belongs under [Hashed].
func ByHeader(name string) KeyFunc {
	return func(r *http.Request) (string, error) {
		values := r.Header.Values(name)
		switch {
		case len(values) == 0 || len(values) == 1 && values[0] == "":
			return "", ErrNoKey
		case len(values) > 1:
			return "", &KeyError{name, "must stand once"}
		}
		return values[0], nil
	}
}

// ByPrincipal takes what principal returns as the key, which is who the request was found to come
// from by an authentication around the limit. "" is nobody.
func ByPrincipal(principal func(*http.Request) string) KeyFunc {
	return func(r *http.Request) (string, error) {
		if key := principal(r); key != "" {
			return key, nil
		}
		return "", ErrNoKey
	}
}

// Keys takes all of the keys together, such as a tenant and an address. No two lists of keys make the
// same one, whatever is in them. The first error counts.
func Keys(by ...KeyFunc) KeyFunc {
	return func(r *http.Request) (string, error) {
		if len(by) == 0 {
			return "", ErrNoKey
		}
		var all strings.Builder
		for _, one := range by {
			key, err := one(r)
			if err != nil {
				return "", err
			}
			all.WriteString(strconv.Itoa(len(key)) + ":" + key)
		}
		return all.String(), nil
	}
}

// Hashed takes the SHA-256 of the key, as 43 characters of unpadded base64url: for keys that are secret,
// because the engine stores keys as they are, and errors and hooks tell them; and for keys that are
// long, up to 8 KiB. It does not hide what can be guessed, such as an address.
func Hashed(by KeyFunc) KeyFunc {
	return func(r *http.Request) (string, error) {
		key, err := by(r)
		if err != nil {
			return "", err
		}
		if len(key) > maxHashed {
			return "", &KeyError{"key", "must have at most " + strconv.Itoa(maxHashed) + " bytes to be hashed"}
		}
		sum := sha256.Sum256([]byte(key))
		return base64.RawURLEncoding.EncodeToString(sum[:]), nil
	}
}
