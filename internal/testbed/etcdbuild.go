package testbed

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	etcdModule    = "go.etcd.io/etcd/server/v3"
	etcdBuildTime = 10 * time.Minute // on a small machine without anything cached
)

var (
	//go:embed etcdserver.mod
	etcdMod []byte
	//go:embed etcdserver.sum
	etcdSum []byte
)

// FindEtcd returns the path of an etcd server of the pinned version. The first call on a machine
// builds it into the user's cache directory, which takes a minute or two and needs the module
// proxy; later calls find it there.
var FindEtcd = sync.OnceValues(buildEtcd)

func buildEtcd() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to build etcd: %w", err)
	}
	sum := sha256.Sum256(append(append([]byte(nil), etcdMod...), etcdSum...))
	dir := filepath.Join(cache, "concord-testbed", "etcd-"+hex.EncodeToString(sum[:6]))
	program := filepath.Join(dir, "etcd")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Several test programs may build at the same time: each does so in a folder of its own, and
	// the last one to finish wins.
	own, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(own) }() // a leftover is only a folder in a cache
	for name, text := range map[string][]byte{"go.mod": etcdMod, "go.sum": etcdSum} {
		if err := os.WriteFile(filepath.Join(own, name), text, 0o644); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), etcdBuildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", "etcd", etcdModule)
	cmd.Dir = own
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(own, "etcd"), program); err != nil {
		return "", err
	}
	return program, nil
}
