// Package evidence reads tables of Markdown that answer each row, such as a bug of another library, with
// the tests that show it, and looks whether those tests are there.
//
// A cell names a test as `folder: name`, in backquotes: the folder as seen from the root of the repository,
// and a test func, or a case of the conformance suite.
package evidence
