package faultnet_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/concord-go/concord/internal/faultnet"
)

// A server executes a request, and its reply is lost.
func Example() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	executed := make(chan string, 1)
	go func() {
		c, err := server.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		request := make([]byte, 4)
		_, _ = io.ReadFull(c, request)
		executed <- string(request)
		_, _ = c.Write([]byte("done"))
	}()

	n := faultnet.New(1) // in a test: faultnet.New(faultnet.Seed(t))
	defer n.Close()
	n.Set(faultnet.Rules{Replies: faultnet.Faults{Lose: 1}})

	proxy, err := n.Proxy(server.Addr().String()) // or give the client n.DialContext
	if err != nil {
		log.Fatal(err)
	}
	client, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "work")
	fmt.Println("executed:", <-executed)

	_ = client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = client.Read(make([]byte, 4))
	fmt.Println("no reply:", errors.Is(err, os.ErrDeadlineExceeded))
	fmt.Println("connections that lost a reply:", n.Counts().Replies.Lost)
	// Output:
	// executed: work
	// no reply: true
	// connections that lost a reply: 1
}
