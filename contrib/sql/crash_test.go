package steadysql_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"

	steadysql "github.com/steady-go/steady/contrib/sql"
)

const crashTable = "crashes"

// openSource opens the store of a worker process: a driver, a space and a DSN.
func openSource(source string) (idempotency.Store, error) {
	driver, dsn, _ := strings.Cut(source, " ")
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	dialect := steadysql.SQLite
	if driver == "pgx" {
		dialect = steadysql.PostgreSQL
	}
	return steadysql.New(steadysql.Config{DB: db, Dialect: dialect, Table: crashTable})
}

func TestPostgreSQLOutlivesCrashes(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	server.database(crashTable).open(t)
	storetest.TestCrashes(t, storetest.Crashes{
		Source: "pgx " + server.dsn(),
		Shared: true,
		Restart: func() error {
			server.kill()
			return server.start()
		},
	})
}

func TestSQLiteOutlivesCrashes(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	d.table = crashTable
	d.open(t)
	storetest.TestCrashes(t, storetest.Crashes{Source: "sqlite " + d.dsn, Shared: true})
}
