// Package steadysql keeps the keys of package idempotency in PostgreSQL or SQLite, through database/sql.
//
// Where the data that a call changes lies in the same database, both belong into one transaction. Then nothing is ever unknown: after a
// crash the data and the outcome are both there or neither.
//
//	store := steadysql.MustNew(steadysql.Config{DB: db, Dialect: steadysql.PostgreSQL})
//	guard := idempotency.MustNew(idempotency.Config{Scope: "orders", Store: store, OnUnknown: idempotency.Rerun})
//
//	tx, err := db.BeginTx(ctx, nil)
//	if err != nil {
//		return err
//	}
//	defer tx.Rollback() // does nothing after a commit
//	order, _, err := idempotency.Once(ctx, guard, store.In(tx), key, fingerprint, func(ctx context.Context) (Order, error) {
//		return insertOrder(ctx, tx, cart)
//	})
//	if err != nil {
//		return err
//	}
//	return tx.Commit()
//
// A call that does more than that, and for longer than a transaction should be open, goes into [idempotency.Do] with the same
// guard, and claims its key by a lease. It may still end with a transaction that stores data and outcome together: see
// [idempotency.Finish].
//
// # Transactions
//
// A duplicate of a [idempotency.Once] waits in the database until the transaction of the original ends, and then replays its outcome or makes its own
// call. That wait ends with the context, and by lock_timeout of PostgreSQL. The Wait of the guard does not apply to it. A transaction
// that returns an error has to be rolled back, unless the error is final. It should be rolled back soon: it may hold the lock of the key.
//
// PostgreSQL: version 12 or later; the isolation level should be read committed, the default. With a stricter one a duplicate that has waited
// gets an error of serialization instead of the outcome, and what a transaction sees of a key is as old as its snapshot. Nobody gets a key wrongly. Claims of one key
// wait for each other by an advisory lock of the transaction, whose number is a hash of table and key.
//
// SQLite: version 3.35 or later. All writers wait for each other. The file must be opened so that they do, and so that what is
// committed survives a loss of power; with modernc.org/sqlite:
//
//	file:keys.db?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)
//
// Without _txlock=immediate a transaction that reads before it writes fails as soon as another has written in between. The wait for other writers ends after
// busy_timeout, and with this driver not with the context: it should be no longer than callers can wait. WAL needs a local disk. The
// clock of SQLite, which is that of the machine, counts milliseconds; leases and retention are no finer.
//
// # Clocks
//
// The clock of the database decides when leases and retention end, and those of the processes do not matter. If it is set
// back, leases last for longer by as much; if it is set ahead, they end early, and an owner that works on is refused when another has claimed its key. After a failover
// to a replica that had not got the last commits, what these say is lost: replicate synchronously where that matters.
package steadysql

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/internal/check"
)

// A Dialect is the kind of a database.
type Dialect uint8

const (
	PostgreSQL Dialect = iota + 1
	SQLite
)

// String returns the name of the dialect, or "none" for the zero value.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return "none"
}

// Config is the configuration of a [Store]. DB and Dialect are required.
type Config struct {
	// DB is the database. It stays the caller's to close.
	DB *sql.DB

	// Dialect is what DB is: [PostgreSQL] or [SQLite].
	Dialect Dialect

	// Table is the name of the table, which may have that of a schema and a dot before it; of SQLite, that of an attached
	// database. Each is 1 to 50 ASCII letters, digits and _, and is quoted, so that case counts in PostgreSQL. Empty means "steady_idempotency". Guards with
	// different scopes may share a table.
	Table string
}

const defaultTable = "steady_idempotency"

var tableName = regexp.MustCompile(`^([A-Za-z0-9_]{1,50}\.)?[A-Za-z0-9_]{1,50}$`)

// A Store is an [idempotency.Store] in a table of a database. It is made by [New], may be used by several goroutines at once, and
// needs no closing. Its methods wait for the database for as long as their context lets them, and for SQLite as the package documentation says.
type Store struct {
	db      *sql.DB
	conn    connection // db, or a transaction
	dialect Dialect
	table   string
	sql     *statements
}

// A connection is what runs statements: a [sql.DB] or a [sql.Tx].
type connection interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// New returns a store, or an error that names every fault of c. It does not call the database, which may be down. The
// table must be there before the store is used: see [Store.Create] and [Schema].
func New(c Config) (*Store, error) {
	f := check.Config("steadysql: Config")
	f.Require(c.DB != nil, "DB", "be set", "nil")
	requireDialect(f, c.Dialect)
	requireTable(f, &c.Table)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return &Store{db: c.DB, conn: c.DB, dialect: c.Dialect, table: c.Table, sql: newStatements(c.Dialect, c.Table)}, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Store { return check.Must(New(c)) }

func requireDialect(f *check.Faults, d Dialect) {
	f.Require(d == PostgreSQL || d == SQLite, "Dialect", "be PostgreSQL or SQLite", d)
}

// requireTable checks the name of a table, or sets the default.
func requireTable(f *check.Faults, table *string) {
	if *table == "" {
		*table = defaultTable
	}
	f.Require(tableName.MatchString(*table), "Table",
		"be 1 to 50 ASCII letters, digits and _, with one dot at most, after a schema of the same", fmt.Sprintf("%q", *table))
}

// Schema returns the statements that make the table and its index where they are not there yet, for who has migrations. An empty
// table means the default. It panics where [New] would return an error.
func Schema(d Dialect, table string) string {
	f := check.Config("steadysql: Config")
	requireDialect(f, d)
	requireTable(f, &table)
	check.Must(0, f.Err())
	return strings.Join(schema(d, table), ";\n\n") + ";\n"
}

// Create makes the table and its index where they are not there yet. Several processes may do so at once.
func (s *Store) Create(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return fmt.Errorf("steadysql: Create: %w", err)
	}
	return nil
}

func (s *Store) create(ctx context.Context) error {
	if s.dialect == SQLite {
		for _, statement := range schema(s.dialect, s.table) {
			if _, err := s.db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	// PostgreSQL looks whether the table is there, and makes it in a second step, in which another may have been quicker.
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", hash(s.table)); err != nil {
		return err
	}
	for _, statement := range schema(s.dialect, s.table) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// In returns the store within a transaction: what its methods do is there when tx is committed, and never was if it is rolled
// back. The database of tx must be that of the store. It may be used until tx ends, as far as tx may be used by several goroutines. After an
// error other than [idempotency.ErrLost] PostgreSQL takes tx for failed.
func (s *Store) In(tx *sql.Tx) idempotency.Store {
	in := *s
	in.conn = tx
	return &in
}

// DeleteExpired deletes at most limit keys whose retention is over, and returns how many. limit must be > 0. Expired keys count as
// none whether or not they are deleted; this frees their space. Run it from time to time, such as once a minute in one of
// the processes, and again while n is limit; a limit of 1000 keeps each run short. Runs at the same time do no harm.
func (s *Store) DeleteExpired(ctx context.Context, limit int) (n int64, err error) {
	if limit <= 0 {
		return 0, fmt.Errorf("steadysql: DeleteExpired: limit must be > 0, got %d", limit)
	}
	r, err := s.conn.ExecContext(ctx, s.sql.deleteExpired, limit)
	if err == nil {
		n, err = r.RowsAffected()
	}
	if err != nil {
		return 0, fmt.Errorf("steadysql: DeleteExpired: %w", err)
	}
	return n, nil
}

// hash returns the number of an advisory lock.
func hash(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64())
}
