package docs

const (
	// First has a comment.
	First  = 1
	Second = 2 // has one beside it
	Bare   = 3
)

// The comment of a group serves all of it.
var (
	One int
	Two int
)

var Alone, lonely int

// A comment on a group of types does not serve.
type (
	Thing struct{}

	// Options has one.
	Options struct {
		// A and B share one.
		A int
		B int

		Late  int
		Later int

		Before  int
		Beside  int // has one beside it
		Follows int
		secret  int
	}
)

// Port is an interface.
type Port interface {
	// Take has one.
	Take()
	Give()
	private()
}

type hidden struct{ Field int }

func (hidden) Method() {}

// Close has one.
func (o *Options) Close() {}

func (o *Options) Method() {}

func Func() {}

func helper() {}
