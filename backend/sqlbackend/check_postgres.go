package sqlbackend

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/concord-go/concord/backend/check"
)

const (
	subjectVersion    = "version"
	subjectRole       = "role"
	subjectIsolation  = "isolation"
	subjectDurability = "durability"
	subjectWaiting    = "waiting"
	subjectTable      = "table"
)

const (
	pgOldest    = 90500  // knows ON CONFLICT
	pgSupported = 130000 // tests run on 15
)

// diagnose reads the settings as this user and this connection have them.
func (p *postgres) diagnose(ctx context.Context, q querier, r *check.Report) error {
	s := make(map[string]string)
	for _, name := range []string{"server_version", "server_version_num", "transaction_read_only", "default_transaction_isolation",
		"fsync", "full_page_writes", "synchronous_commit", "idle_in_transaction_session_timeout"} {
		var value string
		if err := q.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return err
		}
		s[name] = value
	}
	var standby bool
	if err := q.QueryRowContext(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return err
	}

	num, _ := strconv.Atoi(s["server_version_num"])
	switch {
	case num < pgOldest:
		r.Add(check.LevelError, subjectVersion, "PostgreSQL %s has no ON CONFLICT", s["server_version"])
	case num < pgSupported:
		r.Add(check.LevelWarning, subjectVersion, "PostgreSQL %s is older than 13", s["server_version"])
	default:
		r.Add(check.LevelOK, subjectVersion, "PostgreSQL %s", s["server_version"])
	}
	switch {
	case standby:
		r.Add(check.LevelError, subjectRole, "a standby, which cannot be written")
	case s["transaction_read_only"] == "on":
		r.Add(check.LevelError, subjectRole, "read-only (set default_transaction_read_only off)")
	default:
		r.Add(check.LevelOK, subjectRole, "primary")
	}
	level := s["default_transaction_isolation"]
	if p.isolation != sql.LevelDefault {
		level = strings.ToLower(p.isolation.String())
	}
	if level == "repeatable read" || level == "serializable" {
		r.Add(check.LevelWarning, subjectIsolation, "%s: whoever has to wait for another holder fails with 40001 instead, and must be repeated", level)
	} else {
		r.Add(check.LevelOK, subjectIsolation, "%s", level)
	}
	var weak []string
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if s[name] == "off" {
			weak = append(weak, name+" is off")
		}
	}
	durability(r, weak, "fsync, full_page_writes and synchronous_commit are on")
	if limit := s["idle_in_transaction_session_timeout"]; limit == "0" {
		r.Add(check.LevelWarning, subjectWaiting, "a holder that is paused inside a transaction makes the next one wait without limit (set idle_in_transaction_session_timeout)")
	} else {
		r.Add(check.LevelOK, subjectWaiting, "a transaction that idles for %s is ended", limit)
	}
	return nil
}

// durability reports settings under which a crash undoes what was committed.
func durability(r *check.Report, weak []string, good string) {
	if len(weak) > 0 {
		r.Add(check.LevelWarning, subjectDurability, "%s: a crash may undo a raise that was answered", strings.Join(weak, ", "))
		return
	}
	r.Add(check.LevelOK, subjectDurability, "%s", good)
}
