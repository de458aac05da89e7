package fence

import (
	"context"
	"strconv"
)

// MaxResource is the largest length of a resource name in bytes.
const MaxResource = 512

// Marks is the port: a durable table of the highest token seen per resource. Backends implement
// it; the suite is backendtest.Fences.
//
// All methods may be called by several goroutines. They return when the engine has answered or
// ctx has ended, and then with an error that matches the ctx's.
type Marks interface {
	// Raise lifts the mark of resource to token, in one atomic step.
	//
	// A mark that is lower, or absent, becomes token. An equal mark stays; that is success too, so
	// a Raise whose answer was lost may be sent again. A higher mark stays and the result is a
	// [*FencedError]. An empty or oversized resource and a token that is not Valid are an
	// [*InvalidError], and nothing is changed.
	//
	// After any other error the mark is either what it was or token.
	Raise(ctx context.Context, resource string, token Token) error

	// Mark returns the highest token raised for resource, and zero if there is none.
	Mark(ctx context.Context, resource string) (Token, error)
}

// Validate is the check every guard makes before it touches its resource: the resource has 1 to
// [MaxResource] bytes and the token comes from an exclusive grant. Its errors are [*InvalidError].
func Validate(resource string, token Token) error {
	if err := ValidateResource(resource); err != nil {
		return err
	}
	return token.Validate()
}

// ValidateResource returns an [*InvalidError] unless resource has 1 to [MaxResource] bytes.
func ValidateResource(resource string) error {
	if len(resource) == 0 || len(resource) > MaxResource {
		return &InvalidError{Field: "resource", Problem: "must have 1 to " + strconv.Itoa(MaxResource) + " bytes"}
	}
	return nil
}
