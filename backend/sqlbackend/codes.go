package sqlbackend

import (
	"errors"
	"reflect"
	"slices"
)

// code is what a database calls an error. One of the fields is set.
type code struct {
	state  string // SQLSTATE, of PostgreSQL
	number int    // of MySQL and MariaDB
	result int    // of SQLite, without what extends it
}

// codeOf finds the code of an error. Drivers are not imported, so their errors are known by their
// shape: of PostgreSQL a method SQLState (pgx, lib/pq), of MySQL a field Number
// (go-sql-driver/mysql), of SQLite a method or a field Code (modernc.org/sqlite,
// mattn/go-sqlite3).
func (d Dialect) codeOf(err error) (code, bool) {
	switch d {
	case PostgreSQL:
		var e interface{ SQLState() string }
		if errors.As(err, &e) {
			return code{state: e.SQLState()}, true
		}
	case MySQL:
		if n, ok := field(err, "Number"); ok {
			return code{number: n}, true
		}
	case SQLite:
		var e interface{ Code() int }
		if errors.As(err, &e) {
			return code{result: e.Code() & 0xff}, true
		}
		if n, ok := field(err, "Code"); ok {
			return code{result: n & 0xff}, true
		}
	}
	return code{}, false
}

// field finds a struct with a number of that name in the chain of an error.
func field(err error, name string) (int, bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() == reflect.Struct {
		switch n := v.FieldByName(name); {
		case n.IsValid() && n.CanUint():
			return int(n.Uint()), true
		case n.IsValid() && n.CanInt():
			return int(n.Int()), true
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk along the chain
	case interface{ Unwrap() error }:
		return field(e.Unwrap(), name)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if n, ok := field(inner, name); ok {
				return n, true
			}
		}
	}
	return 0, false
}

var (
	// Classes and states of PostgreSQL that may pass: connection, transaction rolled back, short of
	// resources; a read-only server, which after a fail-over is the wrong one; a lock not to be
	// had, a statement cancelled by a time limit, the server stopping or starting.
	stateClasses = []string{"08", "40", "53"}
	states       = []string{"25006", "25P03", "55P03", "57014", "57P01", "57P02", "57P03", "57P05"}

	// Errors of MySQL and MariaDB that may pass.
	numbers = []int{
		1020,       // a row has changed since the snapshot
		1021, 1114, // no space
		1040, 1203, 1226, // too many connections
		1047,                               // a Galera node that is not ready
		1053, 1077, 1079, 1152, 1184, 1927, // the server stops, or the connection was ended
		1158, 1159, 1160, 1161, // network
		1205, 1213, // lock wait, deadlock
		1290, 1836, // read-only, as after a fail-over
		1317, 1969, 3024, // a time limit
		4031, // idle for too long
	}

	// Results of SQLite that may pass: BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, FULL.
	results = []int{5, 6, 7, 9, 10, 13}
)

// temporary says whether asking again may help.
func (c code) temporary() bool {
	switch {
	case c.state != "":
		return slices.Contains(stateClasses, c.class()) || slices.Contains(states, c.state)
	case c.number != 0:
		return slices.Contains(numbers, c.number)
	}
	return slices.Contains(results, c.result)
}

// rolledBack says whether a commit that failed with this code has certainly not happened. In
// doubt it is false: a PostgreSQL that is shut down while it waits for its replicas answers with
// an error and has committed.
func (c code) rolledBack() bool {
	switch {
	case c.state == "40003": // completion unknown
		return false
	case c.state != "":
		return slices.Contains([]string{"23", "25", "40"}, c.class())
	case c.number != 0:
		return slices.Contains([]int{1020, 1205, 1213}, c.number)
	}
	return slices.Contains([]int{5, 6, 19}, c.result) // BUSY, LOCKED, CONSTRAINT
}

func (c code) class() string { return c.state[:min(2, len(c.state))] }
