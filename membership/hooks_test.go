package membership_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/concord-go/concord/membership"
)

func TestJoinHooks(t *testing.T) {
	var told []string
	one := &membership.Hooks{Joined: func(i membership.Info) { told = append(told, "one "+i.ID) }}
	two := &membership.Hooks{Joined: func(i membership.Info) { told = append(told, "two "+i.ID) }}
	all := membership.JoinHooks(one, nil, two)
	all.Joined(membership.Info{ID: "a"})
	for _, call := range []func(membership.Info){all.Ended, all.Renewed, all.Viewed, all.Failed} {
		call(membership.Info{})
	}
	if strings.Join(told, ", ") != "one a, two a" {
		t.Errorf("told %q", told)
	}
}

func TestLogHooks(t *testing.T) {
	var out bytes.Buffer
	h := membership.LogHooks(slog.New(slog.NewTextHandler(&out, nil)))
	lost := &membership.LostError{Key: "k", Cause: membership.Expired}
	left := &membership.LostError{Key: "k", Cause: membership.Resigned}
	for _, c := range []struct {
		call  func(membership.Info)
		info  membership.Info
		level string
	}{
		{h.Joined, membership.Info{ID: "a"}, "INFO"},
		{h.Ended, membership.Info{ID: "a", Err: left}, "INFO"},
		{h.Ended, membership.Info{ID: "a", Err: lost}, "WARN"},
		{h.Renewed, membership.Info{ID: "a"}, ""},
		{h.Renewed, membership.Info{ID: "a", Err: errors.New("no")}, "WARN"},
		{h.Failed, membership.Info{ID: "a", Err: errors.New("no")}, "WARN"},
	} {
		out.Reset()
		c.call(c.info)
		if got := out.String(); c.level == "" && got != "" || !strings.Contains(got, c.level) || c.level != "" && !strings.Contains(got, "member=a") {
			t.Errorf("%+v: logged %q", c.info, got)
		}
	}
}
