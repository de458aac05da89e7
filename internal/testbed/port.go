package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the ranges from which Linux (32768) and macOS (49152) serve outgoing
// connections. Otherwise, while a server is down, another program's connection could take its
// port, and a client that keeps dialling it could connect to itself. The cluster bus of Redis, at
// port+10000, stays below as well.
const (
	portFirst = 12000
	portCount = 10000
)

// freePort returns a loopback port on which nothing listens at the moment.
func freePort() (int, error) {
	for range 100 {
		port := portFirst + rand.IntN(portCount)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port found")
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
