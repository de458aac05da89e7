// Package testbed runs real servers for tests and takes them through what happens to servers:
// kill, restart, pause, failover, the move of a slot.
//
// There is a single Redis, a group under Redis Sentinel, a Redis Cluster, etcd with one node or
// three, PostgreSQL and MariaDB. Every server listens on a loopback port of its own, keeps its
// files in one directory and ends with the test that started it. On Linux it also ends with the
// test process, however that dies.
//
// A server whose program is not installed skips the test with one line that says so. The
// environment variable CONCORD_REQUIRE, a comma-separated list of "redis", "etcd", "postgres" and
// "mariadb", turns that skip into a failure; the first stands for all that redis-server can be.
//
// The package works on Linux and macOS and needs the standard library only.
package testbed
