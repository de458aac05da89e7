package sqlbackend

import (
	"database/sql"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
)

const (
	defaultPrefix = "concord"
	maxPrefix     = 40 // leaves room for the names of tables below the 63 bytes of PostgreSQL
	maxSchema     = 63
)

// Options tunes a [Backend]. The zero value, or nil in its place, means the defaults. [New] copies
// it.
type Options struct {
	// Prefix starts the name of every table, so that several installations can share a database.
	// 1 to 40 letters, digits and underscores, no digit first. The name of a schema and a dot may
	// stand before it, as in "app.concord". Names are quoted, so case matters where the database
	// makes a difference. Default "concord". Parties with different prefixes do not see each
	// other's marks.
	Prefix string

	// Isolation is the level of the transactions of [Guard.Tx]. It must be sql.LevelReadCommitted,
	// sql.LevelRepeatableRead or sql.LevelSerializable, on SQLite only the default. Default
	// sql.LevelDefault: what the database is set to.
	Isolation sql.IsolationLevel

	// Strict makes [Backend.Check] fail on warnings, too.
	Strict bool

	// Logger gets the warnings of Check. Default slog.Default.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (o *Options) validate(d Dialect) error {
	var errs []error
	schema, name, dotted := strings.Cut(o.Prefix, ".")
	if !dotted {
		schema, name = "public", o.Prefix
	}
	if !identifier.MatchString(name) || len(name) > maxPrefix || !identifier.MatchString(schema) || len(schema) > maxSchema {
		errs = append(errs, &InvalidError{Field: "Prefix", Problem: "must have 1 to " + strconv.Itoa(maxPrefix) +
			" letters, digits and underscores, no digit first, after the name of a schema and a dot if any"})
	}
	switch o.Isolation {
	case sql.LevelDefault:
	case sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable:
		if d == SQLite {
			errs = append(errs, &InvalidError{Field: "Isolation", Problem: "must be the default on SQLite, which is serializable"})
		}
	default:
		errs = append(errs, &InvalidError{Field: "Isolation", Problem: "must be the default, read committed, repeatable read or serializable"})
	}
	return errors.Join(errs...)
}
