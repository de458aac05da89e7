package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/concord-go/concord/internal/testbed"
)

const (
	postgresEnv = "POSTGRES_URL"
	mariadbEnv  = "MARIADB_DSN"
)

// useDatabases makes sure that the suites on SQL can start their servers, or use those that the
// environment names, and makes them fail instead of skip. Nothing is started here.
func useDatabases(ctx context.Context) error {
	for _, d := range []struct {
		name, env string
		need      func(context.Context) error
	}{
		{"postgres", postgresEnv, needPostgres},
		{"mariadb", mariadbEnv, needMariaDB},
	} {
		if os.Getenv(d.env) != "" {
			fmt.Printf("%s as %s says, not started here\n", d.name, d.env) // which may hold a password
		}
		// Some tests kill their server, so the programs are needed in any case.
		if err := d.need(ctx); err != nil {
			return err
		}
		if err := require(d.name, d.env, os.Getenv(d.env)); err != nil {
			return err
		}
	}
	return nil
}

// needPostgres makes sure that PostgreSQL is installed.
func needPostgres(ctx context.Context) error {
	_, missing := testbed.FindPostgres()
	if missing == nil {
		return nil
	}
	if err := install(ctx, missing, "postgresql", "postgresql@17"); err != nil {
		return err
	}
	stopService(ctx, "postgresql")
	_, err := testbed.FindPostgres()
	return err
}

// needMariaDB makes sure that MariaDB is installed. On Debian these packages hold the programs alone
// and no service.
func needMariaDB(ctx context.Context) error {
	_, missing := testbed.FindMariaDB()
	if missing == nil {
		return nil
	}
	err := install(ctx, missing, "mariadb-server-core mariadb-client-core", "mariadb")
	_, still := testbed.FindMariaDB()
	return errors.Join(err, still)
}
