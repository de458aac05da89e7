package sqlbackend

import (
	"context"
	"strconv"
	"strings"

	"github.com/concord-go/concord/backend/check"
)

func (s *sqlite) diagnose(ctx context.Context, q querier, r *check.Report) error {
	var version, file, journal string
	var synchronous, busy int
	for query, value := range map[string]any{
		"SELECT sqlite_version()": &version,
		"SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'": &file,
		"PRAGMA journal_mode": &journal, "PRAGMA synchronous": &synchronous, "PRAGMA busy_timeout": &busy,
	} {
		if err := q.QueryRowContext(ctx, query).Scan(value); err != nil {
			return err
		}
	}
	if liteOlder(version, 3, 24) {
		r.Add(check.LevelError, subjectVersion, "SQLite %s is older than 3.24 and has no ON CONFLICT DO UPDATE", version)
	} else {
		r.Add(check.LevelOK, subjectVersion, "SQLite %s", version)
	}
	var weak []string
	if file == "" {
		weak = append(weak, "the database is not a file, so each connection may have one of its own")
	}
	if journal == "off" || journal == "memory" && file != "" {
		weak = append(weak, "journal_mode is "+journal)
	}
	if full := 2; synchronous < full {
		weak = append(weak, "synchronous is "+strconv.Itoa(synchronous))
	}
	durability(r, weak, "each commit is synced")
	if busy == 0 {
		r.Add(check.LevelWarning, subjectWaiting, "busy_timeout is 0: whoever has to wait for another writer fails at once")
	} else {
		r.Add(check.LevelOK, subjectWaiting, "busy_timeout is %d ms", busy)
	}
	return nil
}

// liteOlder compares a version such as 3.46.1.
func liteOlder(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(first)
	b, _ := strconv.Atoi(second)
	return a < major || a == major && b < minor
}
