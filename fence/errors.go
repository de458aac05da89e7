package fence

import (
	"errors"
	"fmt"
)

var (
	// ErrFenced is matched by every refusal of a token below the mark: a later grant has already
	// reached the resource. The caller has lost its lock and must stop; to retry with the same
	// token is pointless. The error is a [*FencedError].
	ErrFenced = errors.New("fenced out")

	// ErrInvalid is matched by every [*InvalidError].
	ErrInvalid = errors.New("invalid argument")
)

// FencedError says which token was refused and what mark stood in its way. It matches [ErrFenced].
type FencedError struct {
	Resource string // the resource, as the caller named it
	Token    Token  // the token that was refused
	Mark     Token  // the higher token the resource has already seen
}

// Error names the resource and both tokens.
func (e *FencedError) Error() string {
	return fmt.Sprintf("%q: token %s is fenced out by %s", e.Resource, e.Token, e.Mark)
}

// Is matches [ErrFenced].
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// InvalidError reports an argument that was refused before anything was done. It matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
