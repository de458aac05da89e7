package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// commandTimeout bounds one command, connecting included.
const commandTimeout = 5 * time.Second

// Command sends one command to the Redis server at addr on a connection of its own and returns
// the reply as text: an integer in decimal, an array as one line an element, nothing as "". An
// error reply is returned as an error with the server's text. The call takes at most 5 seconds.
func Command(addr string, args ...string) (string, error) {
	return command(addr, commandTimeout, args...)
}

func command(addr string, timeout time.Duration, args ...string) (string, error) {
	deadline := time.Now().Add(timeout)
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

// Info returns one section of the INFO of the Redis server at addr, for example "server".
func Info(addr, section string) (map[string]string, error) {
	text, err := Command(addr, "INFO", section)
	if err != nil {
		return nil, err
	}
	return parseInfo(text), nil
}

func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// readReply reads one reply of the Redis protocol, version 2.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("redis protocol: empty line")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", fmt.Errorf("redis protocol: length %q", rest)
		}
		if n < 0 {
			return "", nil // a missing value
		}
		if kind == '$' {
			return readBulk(r, n)
		}
		return readArray(r, n)
	}
	return "", fmt.Errorf("redis protocol: reply %q", line)
}

func readBulk(r *bufio.Reader, n int) (string, error) {
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, text); err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

func readArray(r *bufio.Reader, n int) (string, error) {
	lines := make([]string, 0, n)
	for range n {
		element, err := readReply(r)
		if err != nil {
			return "", err
		}
		lines = append(lines, element)
	}
	return strings.Join(lines, "\n"), nil
}
