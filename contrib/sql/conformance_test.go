package steadysql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"

	steadysql "github.com/steady-go/steady/contrib/sql"
)

func TestTheStoreConforms(t *testing.T) {
	t.Parallel()
	conforms(t, func(_ *sql.DB, s *steadysql.Store) idempotency.Store { return s })
}

func TestTheStoreConformsWithinTransactions(t *testing.T) {
	t.Parallel()
	conforms(t, func(db *sql.DB, s *steadysql.Store) idempotency.Store { return transactional{db, s} })
}

// conforms runs the test of all stores. as makes the store under test.
func conforms(t *testing.T, as func(*sql.DB, *steadysql.Store) idempotency.Store) {
	for name, on := range map[string]func(*testing.T) *database{"PostgreSQL": onPostgres, "SQLite": onSQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time leases lapse
			storetest.TestStore(t, func(t *testing.T) func() idempotency.Store {
				d := on(t)
				return func() idempotency.Store {
					s, db := d.open(t)
					db.SetMaxOpenConns(2)
					return as(db, s)
				}
			})
		})
	}
}

// A transactional store makes each step in a transaction of its own, and commits it.
type transactional struct {
	db *sql.DB
	s  *steadysql.Store
}

func (x transactional) do(ctx context.Context, step func(in idempotency.Store) error) error {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := step(x.s.In(tx)); err != nil {
		return err
	}
	return tx.Commit()
}

func (x transactional) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	err = x.do(ctx, func(in idempotency.Store) error {
		g, err = in.Begin(ctx, c)
		return err
	})
	return g, err
}

func (x transactional) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return x.do(ctx, func(in idempotency.Store) error { return in.Extend(ctx, key, token, lease) })
}

func (x transactional) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return x.do(ctx, func(in idempotency.Store) error { return in.Finish(ctx, key, token, o, keep) })
}

func (x transactional) Release(ctx context.Context, key, token string) error {
	return x.do(ctx, func(in idempotency.Store) error { return in.Release(ctx, key, token) })
}
