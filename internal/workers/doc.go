// Package workers runs calls in goroutines that are used again, and waits for what runs.
//
// A client library goes deep, and a fresh goroutine has to grow its stack for every call: that is a tenth
// of the work of a client that many goroutines use, and more in memory.
package workers
