package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
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
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	r, err := exchange(ctx, addr, args)
	return r.String(), err
}

// exchange sends commands, one after the other on a connection of its own, and returns the last
// reply. An error reply ends it.
func exchange(ctx context.Context, addr string, commands ...[]string) (reply, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	interrupt := func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // fails when it is closed already
	defer context.AfterFunc(ctx, interrupt)()
	var last reply
	r := bufio.NewReader(conn)
	for _, args := range commands {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err = io.WriteString(conn, b.String()); err == nil {
			last, err = readReply(r)
		}
		if err != nil {
			return reply{}, err
		}
	}
	return last, nil
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

// reply is one reply of a server: an array, or a text, which is "" when a value is missing.
type reply struct {
	text string
	list []reply
}

// String returns an array as one line an element.
func (r reply) String() string {
	if r.list == nil {
		return r.text
	}
	return strings.Join(r.texts(), "\n")
}

// texts returns the elements of an array.
func (r reply) texts() []string {
	texts := make([]string, len(r.list))
	for i, element := range r.list {
		texts[i] = element.String()
	}
	return texts
}

// fields returns an array of names and values as a map.
func (r reply) fields() map[string]string {
	m := make(map[string]string)
	for pair := range slices.Chunk(r.texts(), 2) {
		m[pair[0]] = pair[len(pair)-1]
	}
	return m
}

// readReply reads one reply of the Redis protocol, version 2.
func readReply(r *bufio.Reader) (reply, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return reply{}, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return reply{}, errors.New("redis protocol: empty line")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return reply{text: rest}, nil
	case '-':
		return reply{}, errors.New(rest)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return reply{}, fmt.Errorf("redis protocol: length %q", rest)
		}
		if n < 0 {
			return reply{}, nil // a missing value
		}
		if kind == '$' {
			return readBulk(r, n)
		}
		return readArray(r, n)
	}
	return reply{}, fmt.Errorf("redis protocol: reply %q", line)
}

func readBulk(r *bufio.Reader, n int) (reply, error) {
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, text); err != nil {
		return reply{}, err
	}
	return reply{text: string(text[:n])}, nil
}

func readArray(r *bufio.Reader, n int) (reply, error) {
	array := reply{list: make([]reply, n)}
	for i := range array.list {
		var err error
		if array.list[i], err = readReply(r); err != nil {
			return reply{}, err
		}
	}
	return array, nil
}
