// Package archtest holds the house rules of the module as tests: who may import whom, what each
// package depends on, what it exports, how it is documented and how files are named.
//
// Each rule is a function from parsed source to a list of violations. One test applies it to the
// module and must find nothing; another applies it to fixtures that break it, in testdata or in
// the test itself.
//
// The exported API and the dependencies are compared with files in testdata. A change on purpose
// is recorded with
//
//	go test ./internal/archtest -update
package archtest
