package sqlbackend

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-go/concord/backend/check"
)

// longestIdle is what Check lets a transaction of a paused holder stay open without a warning.
const longestIdle = 300 // s

// settings are the variables that decide about guards. Not every server has all of them.
var settings = []string{"version", "autocommit", "read_only", "transaction_isolation", "tx_isolation",
	"innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "sync_binlog",
	"idle_transaction_timeout", "idle_write_transaction_timeout", "wait_timeout",
	"wsrep_on", "group_replication_single_primary_mode"}

func (m *mysql) diagnose(ctx context.Context, q querier, r *check.Report) error {
	s, err := variables(ctx, q)
	if err != nil {
		return err
	}
	mysqlVersion(r, s["version"])
	if off(s["read_only"]) {
		r.Add(check.LevelOK, subjectRole, "primary")
	} else {
		r.Add(check.LevelError, subjectRole, "read_only is set, as on a replica")
	}
	switch {
	case s["wsrep_on"] == "ON":
		r.Add(check.LevelWarning, "cluster", "Galera: guards hold only among programs that write to the same node")
	case s["group_replication_single_primary_mode"] == "OFF":
		r.Add(check.LevelWarning, "cluster", "group replication with several primaries: guards hold only among programs that write to the same one")
	}
	if s["autocommit"] == "OFF" {
		r.Add(check.LevelError, "autocommit", "off: what is raised outside of a transaction is not committed (set autocommit=1)")
	}

	level := strings.ToLower(strings.ReplaceAll(cmp.Or(s["transaction_isolation"], s["tx_isolation"]), "-", " "))
	if m.isolation != sql.LevelDefault {
		level = strings.ToLower(m.isolation.String())
	}
	if level == "read uncommitted" {
		r.Add(check.LevelWarning, subjectIsolation, "%s: reads see what other writers may still roll back", level)
	} else {
		r.Add(check.LevelOK, subjectIsolation, "%s", level)
	}
	var weak []string
	if v := s["innodb_flush_log_at_trx_commit"]; v != "1" && v != "3" { // 3 is MariaDB's, and no less
		weak = append(weak, "innodb_flush_log_at_trx_commit is "+v)
	}
	if off(s["innodb_doublewrite"]) {
		weak = append(weak, "innodb_doublewrite is off")
	}
	if s["log_bin"] == "ON" && s["sync_binlog"] != "1" {
		weak = append(weak, "sync_binlog is "+s["sync_binlog"])
	}
	durability(r, weak, "each commit is flushed")
	idle, setting := 0, ""
	for _, name := range []string{"idle_transaction_timeout", "idle_write_transaction_timeout", "wait_timeout"} {
		if n, _ := strconv.Atoi(s[name]); n > 0 && (idle == 0 || n < idle) {
			idle, setting = n, name
		}
	}
	if idle > longestIdle {
		r.Add(check.LevelWarning, subjectWaiting, "a holder that is paused inside a transaction makes the next one wait for up to %d s (%s)", idle, setting)
	} else {
		r.Add(check.LevelOK, subjectWaiting, "a transaction that idles for %d s is ended (%s)", idle, setting)
	}
	return m.checkTable(ctx, q, r)
}

// checkTable looks for the engine of the table, since those other than InnoDB lock differently, if
// at all.
func (m *mysql) checkTable(ctx context.Context, q querier, r *check.Report) error {
	schema, name, dotted := strings.Cut(m.prefix+marksTable, ".")
	where := "'" + schema + "'"
	if !dotted {
		where, name = "DATABASE()", schema
	}
	var engine sql.NullString
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT engine FROM information_schema.tables WHERE table_schema = %s AND table_name = '%s'", where, name)).Scan(&engine)
	switch {
	case isNoRows(err): // what follows says so
	case err != nil:
		return err
	case engine.String != "InnoDB":
		r.Add(check.LevelError, subjectTable, "%s is kept by %s and not by InnoDB", name, cmp.Or(engine.String, "a view"))
	default:
		r.Add(check.LevelOK, subjectTable, "%s is kept by InnoDB", name)
	}
	return nil
}

func variables(ctx context.Context, q querier) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('"+strings.Join(settings, "', '")+"')")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err has told what there is to tell
	s := make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		s[name] = value
	}
	return s, rows.Err()
}

// off reports whether a setting is off, or one of a server that does not have it.
func off(value string) bool { return value == "" || strings.EqualFold(value, "off") || value == "0" }

// mysqlVersion tells MariaDB, whose numbers are its own, from MySQL.
func mysqlVersion(r *check.Report, version string) {
	name, oldest := "MySQL", 8
	if strings.Contains(version, "MariaDB") {
		name, oldest = "MariaDB", 10
	}
	text, _, _ := strings.Cut(version, "-")
	major, _, _ := strings.Cut(text, ".")
	if n, _ := strconv.Atoi(major); n < oldest {
		r.Add(check.LevelWarning, subjectVersion, "%s %s is older than %d", name, text, oldest)
		return
	}
	r.Add(check.LevelOK, subjectVersion, "%s %s", name, text)
}
