// Package sqlbackend keeps fence marks in a SQL database, beside the rows they protect: PostgreSQL,
// MySQL and MariaDB, or SQLite. Locks come from another backend; this one refuses the late writes of
// holders who have lost theirs.
//
//	db, err := sql.Open("pgx", url) // any driver of database/sql; it stays yours
//	be, err := sqlbackend.New(db, sqlbackend.PostgreSQL, &sqlbackend.Options{Prefix: "shop"})
//	…
//	err = be.CreateSchema(ctx) // or give be.Schema() to your migrations
//	err = be.Check(ctx)        // version, table, permissions, durability
//	guard := be.Guard()
//	err = locks.Do(ctx, "orders/42", func(ctx context.Context, l *lock.Lease) error {
//		return guard.Tx(ctx, "orders/42", l.Token(), func(tx *sql.Tx) error {
//			// read what you need, then write
//			_, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'paid' WHERE id = 42`)
//			return err
//		})
//	})
//
// # What it prevents
//
// Process A holds the lock of an order and is paused for longer than its TTL. B is granted the lock,
// with a larger token, and reads the order. A goes on and writes what it had in mind. Without a
// fence this write is made, and B's decision rests on a row that has changed under it.
//
// A check of the token at the time of A's write is not enough by itself: if the database learns of
// B's token only when B writes for the first time, A gets through before that. So a guarded
// transaction raises the mark of the resource first, then reads, then writes, and all of it is
// committed together. Once B has committed anything, and be it a read, A is refused with a
// [*fence.FencedError]. Whoever reads outside of a transaction calls [Guard.Raise] before.
//
// # What happens in the database
//
// A mark is a row: the resource, the highest token it has seen, and when that was raised. To raise it
// is the first statement of the transaction and one round trip, with the usual drivers: INSERT … ON
// CONFLICT DO UPDATE on PostgreSQL and SQLite, INSERT … ON DUPLICATE KEY UPDATE on MySQL. The row
// stays locked until the transaction ends, so guarded transactions of one resource go one after
// the other, and what the later one reads was committed by the earlier one:
//
//   - PostgreSQL at read committed takes a new snapshot for each statement. At repeatable read and
//     serializable, whoever had to wait fails with 40001 and must repeat the transaction.
//   - MySQL takes its snapshot with the first plain read, and the raise is none.
//   - SQLite lets one writer in. The transaction writes first, so it waits (busy_timeout) instead of
//     failing in the middle.
//
// Deadlocks, serialization failures, lock timeouts, lost connections and servers that are starting or
// read-only give errors that match lease.ErrUnavailable: nothing was changed, and the whole
// transaction may be run again. The driver's error is reached with errors.As.
//
// A commit without an answer matches lease.ErrUncertain instead, and is not to be repeated blindly:
// it may have been made. A row of your own, written in the transaction, tells.
//
// # What it does not promise
//
//   - A write that bypasses the guard is not stopped: an operator at the console, a migration, a
//     program without a lock. Nor is one that uses another name for the resource.
//   - Rows in another database, or in none. The mark fails together with the rows beside it only.
//   - A server that loses what it has committed (an asynchronous replica that is promoted, settings that
//     do not flush, a restore) forgets raises with the rest. A transaction that reads and writes is
//     whole even then; what was read in one transaction and is written in another may meet a late
//     write of an earlier holder. [Backend.Check] tells of such settings.
//   - Several primaries that check each other only at the commit, as in Galera or group replication
//     with several of them. All guarded writes must go to one.
//   - An end to waiting. A holder that is paused inside a transaction keeps the row, and the next one
//     waits until the database ends the connection or its own ctx ends. Let the database end it:
//     idle_in_transaction_session_timeout on PostgreSQL, idle_transaction_timeout on MariaDB,
//     wait_timeout on MySQL.
//   - Once and only once: an equal token is accepted as often as it comes.
//
// Do not use it for data that you can protect by simpler means: if all that you do is one
// transaction, SELECT … FOR UPDATE or a unique key needs no lock service at all.
//
// # Databases
//
// Tests run on PostgreSQL 15, MariaDB 10.11 and SQLite 3.53. Needed are PostgreSQL 9.5, MySQL 8 or
// MariaDB 10, SQLite 3.24. Any driver of database/sql will do; errors are sorted for pgx, lib/pq,
// go-sql-driver/mysql, modernc.org/sqlite and mattn/go-sqlite3, and those of another driver are
// taken for ones that may pass. On SQLite use a file, and these settings of modernc.org/sqlite or
// their like:
//
//	file:shop.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)
//
// On MySQL do not set autocommit=0. A user needs SELECT, INSERT and UPDATE on the table, DELETE for
// [Backend.Forget], and nothing else.
package sqlbackend
