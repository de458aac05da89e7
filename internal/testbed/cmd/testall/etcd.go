package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/concord-go/concord/internal/testbed"
)

const (
	endpointsEnv = "ETCD_ENDPOINTS"
	programEnv   = "ETCD_PROGRAM" // for tests that start clusters of their own
)

// etcdServer is the etcd that the tests use. The zero value is somebody else's and is never stopped.
type etcdServer struct {
	etcd *testbed.Etcd
	dir  string
}

// useEtcd finds or starts a server of one node, built from its pinned module, and tells the children
// of this process about it through the environment.
func useEtcd(ctx context.Context) (etcdServer, error) {
	program, err := testbed.FindEtcd()
	if err != nil {
		return etcdServer{}, err
	}
	if err := os.Setenv(programEnv, program); err != nil {
		return etcdServer{}, err
	}
	if endpoints := os.Getenv(endpointsEnv); endpoints != "" {
		fmt.Printf("etcd at %s, not started here\n", endpoints)
		return etcdServer{}, require("etcd", endpointsEnv, endpoints)
	}
	dir, err := os.MkdirTemp("", "testall-etcd-")
	if err != nil {
		return etcdServer{}, err
	}
	s := etcdServer{dir: dir}
	if s.etcd, err = testbed.LaunchEtcd(ctx, dir, nil); err == nil {
		endpoints := strings.Join(s.etcd.Endpoints(), ",")
		fmt.Printf("etcd at %s\n", endpoints)
		err = require("etcd", endpointsEnv, endpoints)
	}
	if err != nil {
		s.stop()
		return etcdServer{}, err
	}
	return s, nil
}

// stop ends the server, if it was started here, and removes its files.
func (s etcdServer) stop() {
	if s.etcd != nil {
		s.etcd.Stop()
	}
	removeAll(s.dir)
}
