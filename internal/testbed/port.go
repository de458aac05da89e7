package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
)

// Ports are taken from below the ranges from which Linux (32768) and macOS (49152) serve outgoing
// connections. Otherwise, while a server is down, another program's connection could take its
// port, and a client that keeps dialling it could connect to itself. The cluster bus of Redis, at
// port+10000, stays below as well.
const (
	portFirst   = 12000
	portCount   = 10000
	portRetries = 5
)

var errPortTaken = errors.New("the port is in use")

// onFreePorts calls launch with n ports on which nothing listens at the moment, nor at the given
// offsets from them. Should another program take one of them first, so that launch fails with
// errPortTaken, it tries others.
func onFreePorts[T any](n int, offsets []int, launch func(ports []int) (T, error)) (T, error) {
	var none T
	var last error
	for range portRetries {
		ports, err := freePorts(n, offsets)
		if err != nil {
			return none, err
		}
		v, err := launch(ports)
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, errPortTaken) {
			return none, err
		}
		last = err
	}
	return none, last
}

// freePorts returns n different ports on which nothing listens, nor at the offsets from them.
func freePorts(n int, offsets []int) ([]int, error) {
	var ports []int
	for range 100 * n {
		port := portFirst + rand.IntN(portCount)
		if slices.Contains(ports, port) || slices.ContainsFunc(append([]int{0}, offsets...), func(o int) bool { return taken(port + o) }) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free port found")
}

// taken reports whether something listens on the loopback port.
func taken(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err == nil {
		err = l.Close()
	}
	return err != nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
