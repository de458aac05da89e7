// Package check holds what a backend finds out about its engine at the start of a program: a
// [Report] for people to read and for programs to judge.
//
// Applications call Check or Diagnose of their backend and look at the result. The rest of the
// package is for authors of backends, so that all of them report in the same words.
//
// A report tells how an engine is set up at one moment. It does not watch: a server that is
// changed later is not reported.
package check
