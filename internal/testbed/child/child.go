// Package child starts the test binary again as another process, for tests that kill or pause real
// processes.
//
// A child is told by its environment what to be; the test's TestMain asks [Role] and branches. It
// says what it sees on its standard output, one line each, and should end when its standard input
// does, so that it does not outlive the test.
package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	roleEnv = "CONCORD_CHILD_ROLE"

	// maxLines is how many lines a child may be ahead of its test.
	maxLines = 1024

	// eventually bounds the wait for what a child must do.
	eventually = 20 * time.Second
)

// Role returns what this process was started to be, "" in the test itself.
func Role() string { return os.Getenv(roleEnv) }

// Commands returns the lines that the test tells this child, closed when the test is gone.
func Commands() <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// Child is a child as its test sees it. Make one with [Start]. Its methods are for the goroutine of
// the test, and end the test when they fail.
type Child struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it says; closed at its end
	ended chan struct{}
	err   error // of its end
}

// Start starts a child, with further environment as name=value. It is killed at the end of the test.
func Start(t testing.TB, role string, env ...string) *Child {
	t.Helper()
	c := &Child{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, maxLines), ended: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			c.lines <- in.Text()
		}
		close(c.lines)
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // an error means that it has ended
		for range c.lines {
		}
		<-c.ended
	})
	return c
}

// Says returns the rest of the next line, which must begin with word.
func (c *Child) Says(word string) string {
	c.t.Helper()
	select {
	case line := <-c.lines:
		first, rest, _ := strings.Cut(line, " ")
		if first != word {
			c.t.Fatalf("the child says %q, want %s", line, word)
		}
		return rest
	case <-time.After(eventually):
		c.t.Fatalf("the child does not say %s", word)
		return ""
	}
}

// Tell sends a line to the child.
func (c *Child) Tell(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatal(err)
	}
}

// Signal sends a signal to the child.
func (c *Child) Signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// End returns when the child has ended by itself or by a signal, and how.
func (c *Child) End() error {
	c.t.Helper()
	select {
	case <-c.ended:
		return c.err
	case <-time.After(eventually):
		c.t.Fatal("the child does not end")
		return nil
	}
}
