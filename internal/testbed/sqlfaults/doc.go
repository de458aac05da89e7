// Package sqlfaults has no code: its tests take the guards of backend/sqlbackend through what
// happens to real databases. Each runs on PostgreSQL, MariaDB and SQLite as far as it makes sense
// there.
//
// Tests that do no harm share one server of each kind, which POSTGRES_URL and MARIADB_DSN can name;
// those that kill or stop a server start their own. SQLite is a file of the test.
package sqlfaults
