package redisbackend

import (
	"testing"

	"github.com/concord-go/concord/backend/check"
)

func TestWhatAllNodesHaveIsSaidOnce(t *testing.T) {
	nodes := []node{{name: "a:1"}, {name: "b:1"}, {name: "c:1"}}
	found := make([]check.Report, len(nodes))
	for i := range nodes {
		found[i].Add(check.LevelOK, "version", "Redis 7")
		if i > 0 {
			found[i].Add(check.LevelWarning, "persistence", "off")
		} else {
			found[i].Add(check.LevelOK, "persistence", "on")
		}
	}
	var r check.Report
	merge(&r, nodes, found)
	want := []check.Finding{
		{Level: check.LevelOK, Subject: "version", Text: "Redis 7"},
		{Level: check.LevelOK, Subject: "persistence", Text: "a:1: on"},
		{Level: check.LevelWarning, Subject: "persistence", Text: "b:1, c:1: off"},
	}
	if len(r.Findings) != len(want) {
		t.Fatalf("%v", r)
	}
	for i, f := range r.Findings {
		if f != want[i] {
			t.Errorf("finding %d: %+v, want %+v", i, f, want[i])
		}
	}
}
