package etcdbackend

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
)

func TestCheck(t *testing.T) {
	be := open(t, nil, &Options{Strict: true})
	for range 2 {
		if err := be.Check(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := be.Diagnose(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"version", "alarms", "commands", "watch"} {
		if !strings.Contains(r.String(), "ok       "+subject) {
			t.Errorf("no good word about %s:\n%s", subject, r)
		}
	}
}

func TestCheckWithoutAServer(t *testing.T) {
	client := connect(t, []string{"127.0.0.1:1"})
	be := openWith(t, client, &Options{Logger: quiet()})
	if err := be.Check(within(t, 3*time.Second)); !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestCheckOneServerDown(t *testing.T) {
	var log bytes.Buffer
	client := connect(t, append(endpoints(t), "127.0.0.1:1"))
	be := open(t, client, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := be.Check(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "127.0.0.1:1 does not answer") {
		t.Errorf("not logged:\n%s", log.String())
	}
	strict := open(t, client, &Options{Strict: true})
	var failed *check.Error
	if err := strict.Check(within(t, 10*time.Second)); !errors.As(err, &failed) {
		t.Errorf("strict: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]check.Level{
		"3.4.30": check.LevelError, "2.3.8": check.LevelError, "": check.LevelError, "3.5.0": check.LevelWarning, "3.5.12": check.LevelWarning,
		"3.5.13": check.LevelOK, "3.6.0": check.LevelOK, "3.7.0-rc.0": check.LevelOK, "4.0": check.LevelOK,
	} {
		var r check.Report
		(*Backend)(nil).checkVersion(&r, "e", version)
		if r.Findings[0].Level != want {
			t.Errorf("%s: %v", version, r.Findings)
		}
	}
}

func TestClosed(t *testing.T) {
	be := open(t, nil, nil)
	c := wish("k")
	acquire(t, be, c, lease.Granted)
	if err := be.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := be.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Second)
	_, err1 := be.Leases().Acquire(ctx, c)
	_, err2 := be.Leases().Release(ctx, lease.Release{Key: "k", Attempt: c.Attempt})
	_, err3 := be.Leases().Inspect(ctx, "k")
	_, err4 := be.Guard().Txn(ctx, "r", 1, clientv3.OpGet("x"))
	for _, err := range []error{err1, err2, err3, err4, ask(t, be, c, false).Err, be.Fences().Raise(ctx, "r", 1), be.Check(ctx)} {
		if !errors.Is(err, lease.ErrClosed) || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	}
}
