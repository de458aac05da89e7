package fence_test

import (
	"fmt"

	"github.com/concord-go/concord/fence"
)

func ExampleMakeToken() {
	before, _ := fence.MakeToken(0, 1_793_000_000_000_000)
	after, _ := fence.MakeToken(1, 12) // another engine, whose numbers start low
	fmt.Println(after > before)
	fmt.Println(after.Epoch(), after.Sequence())
	// Output:
	// true
	// 1 12
}

// Tokens travel as text: many number types hold fewer than 63 bits.
func ExampleParseToken() {
	t, err := fence.ParseToken("9007199254741004")
	fmt.Println(t.Epoch(), t.Sequence(), err)
	_, err = fence.ParseToken("0")
	fmt.Println(err)
	// Output:
	// 1 12 <nil>
	// token must be a decimal number from 1 to 2^63-1
}
