package memorybackend

// Options are the settings of a [Backend]. There are none yet; nil and the zero value both mean
// the defaults.
type Options struct {
	_ struct{}
}
