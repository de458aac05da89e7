package sqlbackend

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	db := new(sql.DB) // never used
	for _, c := range []struct {
		db      *sql.DB
		dialect Dialect
		o       *Options
		fields  string
	}{
		{db, PostgreSQL, nil, ""},
		{db, MySQL, &Options{Isolation: sql.LevelSerializable, Prefix: "app.shop"}, ""},
		{db, SQLite, &Options{Prefix: strings.Repeat("p", maxPrefix)}, ""},
		{nil, PostgreSQL, nil, "db"},
		{nil, 0, &Options{Prefix: "a b", Isolation: sql.LevelReadUncommitted}, "db dialect Prefix Isolation"},
		{db, 4, nil, "dialect"},
		{db, SQLite, &Options{Isolation: sql.LevelSerializable}, "Isolation"},
		{db, PostgreSQL, &Options{Isolation: sql.LevelSnapshot}, "Isolation"},
		{db, MySQL, &Options{Prefix: strings.Repeat("p", maxPrefix+1)}, "Prefix"},
		{db, MySQL, &Options{Prefix: strings.Repeat("s", maxSchema+1) + ".p"}, "Prefix"},
		{db, MySQL, &Options{Prefix: "a`b"}, "Prefix"},
		{db, MySQL, &Options{Prefix: `a"b`}, "Prefix"},
		{db, MySQL, &Options{Prefix: "1a"}, "Prefix"},
		{db, MySQL, &Options{Prefix: "a.b.c"}, "Prefix"},
		{db, MySQL, &Options{Prefix: ".b"}, "Prefix"},
		{db, MySQL, &Options{Prefix: "a\n"}, "Prefix"},
	} {
		be, err := New(c.db, c.dialect, c.o)
		if (be == nil) != (c.fields != "") || errors.Is(err, ErrInvalid) != (c.fields != "") {
			t.Errorf("%v, %+v: %v, %v", c.dialect, c.o, be, err)
		}
		var fields []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				fields = append(fields, invalidFields(err)...)
			}
		}
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%v, %+v: refused %q, want %q", c.dialect, c.o, got, c.fields)
		}
	}
}

// invalidFields walks through joined errors.
func invalidFields(err error) (fields []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			fields = append(fields, invalidFields(err)...)
		}
		return fields
	}
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		fields = append(fields, invalid.Field)
	}
	return fields
}

// TestSchema holds the format of the table, which other versions of the library share.
func TestSchema(t *testing.T) {
	want := map[Dialect]string{
		PostgreSQL: `CREATE TABLE IF NOT EXISTS "app"."shop_marks_1" (
	resource  BYTEA  NOT NULL PRIMARY KEY,
	token     BIGINT NOT NULL,
	raised_at BIGINT NOT NULL
)`,
		MySQL: "CREATE TABLE IF NOT EXISTS `app`.`shop_marks_1` (" + `
	resource  VARBINARY(512) NOT NULL PRIMARY KEY,
	token     BIGINT NOT NULL,
	raised_at BIGINT NOT NULL
) ENGINE = InnoDB`,
		SQLite: `CREATE TABLE IF NOT EXISTS "app"."shop_marks_1" (
	resource  BLOB    NOT NULL PRIMARY KEY,
	token     INTEGER NOT NULL,
	raised_at INTEGER NOT NULL
) WITHOUT ROWID`,
	}
	for dialect, schema := range want {
		be, err := New(new(sql.DB), dialect, &Options{Prefix: "app.shop"})
		if err != nil {
			t.Fatal(err)
		}
		if got := be.Schema(); got != schema {
			t.Errorf("%v:\n%s\nwant:\n%s", dialect, got, schema)
		}
	}
}
