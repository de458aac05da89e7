package testbed

import (
	"strings"
	"testing"
)

func TestMariaDB(t *testing.T) {
	t.Parallel()
	m := StartMariaDB(t, nil)
	lifeOf(t, m, &m.database)
	if log := string(m.log()); !strings.Contains(log, "starting recovery") {
		t.Errorf("no recovery after the kill:\n%s", log)
	}
}
