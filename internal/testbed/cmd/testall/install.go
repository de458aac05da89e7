package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/concord-go/concord/internal/testbed"
)

// setUp installs all that tests and make need.
func setUp(ctx context.Context) error {
	_, etcd := testbed.FindEtcd() // builds it
	return errors.Join(needRedis(ctx), needPostgres(ctx), needMariaDB(ctx), needCompiler(ctx), needProgram(ctx, "make"), etcd)
}

// needRedis makes sure that redis-server is installed.
func needRedis(ctx context.Context) error {
	_, missing := testbed.FindRedis()
	if missing == nil {
		return nil
	}
	if err := install(ctx, missing, "redis-server", "redis"); err != nil {
		return err
	}
	stopService(ctx, "redis-server")
	_, err := testbed.FindRedis()
	return err
}

// needCompiler makes sure that there is a C compiler, without which there is no race detector.
func needCompiler(ctx context.Context) error {
	var out bytes.Buffer
	if err := child(ctx, &out, "go", "env", "CC"); err != nil {
		return err
	}
	cc := strings.Fields(out.String())
	if len(cc) == 0 {
		return errors.New("go env CC names no C compiler")
	}
	if _, err := exec.LookPath(cc[0]); err == nil {
		return nil
	}
	missing := fmt.Errorf("no C compiler (%s), which go test -race needs", cc[0])
	if runtime.GOOS == "darwin" {
		return fmt.Errorf("%w; run: xcode-select --install", missing)
	}
	return install(ctx, missing, "gcc libc6-dev", "")
}

func needProgram(ctx context.Context, name string) error {
	if _, err := exec.LookPath(name); err == nil {
		return nil
	}
	return install(ctx, fmt.Errorf("no %s on the PATH", name), name, name)
}

// install installs packages where that can be done without a question. Elsewhere it returns what
// is missing together with the command to run.
func install(ctx context.Context, missing error, debian, brew string) error {
	switch {
	case runtime.GOOS == "darwin" && has("brew"):
		fmt.Printf("%v; installing %s\n", missing, brew)
		return child(ctx, os.Stdout, "brew", "install", "--quiet", brew)
	case runtime.GOOS == "darwin":
		return fmt.Errorf("%w; install Homebrew and run: brew install %s", missing, brew)
	case has("apt-get") && os.Geteuid() == 0:
		fmt.Printf("%v; installing %s\n", missing, debian)
		return aptInstall(ctx, strings.Fields(debian))
	case has("apt-get"):
		return fmt.Errorf("%w; run: sudo apt-get install --no-install-recommends %s", missing, debian)
	default:
		return fmt.Errorf("%w; install the package of your system that corresponds to Debian's %s", missing, debian)
	}
}

func aptInstall(ctx context.Context, packages []string) error {
	if err := os.Setenv("DEBIAN_FRONTEND", "noninteractive"); err != nil {
		return err
	}
	// apt-get reports every unpacked package even when it is quiet, so its output is kept and
	// shown only when it fails.
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "-y", "--no-install-recommends"}, packages...),
	} {
		var out bytes.Buffer
		if err := child(ctx, &out, "apt-get", args...); err != nil {
			fmt.Print(out.String())
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

// stopService stops the service that a Debian package starts when it is installed. Where no
// service runs these commands fail, and that is fine.
func stopService(ctx context.Context, name string) {
	for _, args := range [][]string{
		{"systemctl", "disable", "--now", name},
		{"service", name, "stop"},
	} {
		if has(args[0]) {
			_ = exec.CommandContext(ctx, args[0], args[1:]...).Run()
		}
	}
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
