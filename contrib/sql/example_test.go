package steadysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	steadysql "github.com/steady-go/steady/contrib/sql"

	"github.com/steady-go/steady/idempotency"
)

// exampleDB returns a database with a table of orders.
func exampleDB() (db *sql.DB, end func()) {
	dir, err := os.MkdirTemp("", "steadysql")
	if err != nil {
		log.Fatal(err)
	}
	if db, err = sql.Open("sqlite", sqliteDSN(filepath.Join(dir, "shop.db"))); err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE orders (id integer PRIMARY KEY, item text NOT NULL)"); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// The customer refreshes the page, and one order is placed. The order and the outcome of its key are in one transaction.
func Example() {
	ctx := context.Background()
	db, end := exampleDB()
	defer end()

	store := steadysql.MustNew(steadysql.Config{DB: db, Dialect: steadysql.SQLite})
	if err := store.Create(ctx); err != nil {
		log.Fatal(err)
	}
	guard := idempotency.MustNew(idempotency.Config{Scope: "orders", Store: store, OnUnknown: idempotency.Rerun})

	place := func(key, item string) (id int64, replayed bool, err error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, false, err
		}
		defer tx.Rollback() // does nothing after a commit
		id, info, err := idempotency.Once(ctx, guard, store.In(tx), key, item, func(ctx context.Context) (int64, error) {
			r, err := tx.ExecContext(ctx, "INSERT INTO orders (item) VALUES (?)", item)
			if err != nil {
				return 0, err
			}
			return r.LastInsertId()
		})
		if err != nil {
			return 0, false, err
		}
		return id, info.Replayed, tx.Commit()
	}

	fmt.Println(place("customer 7, key 1", "book"))
	fmt.Println(place("customer 7, key 1", "book"))
	fmt.Println(place("customer 7, key 2", "book"))
	_, _, err := place("customer 7, key 2", "ten books")
	fmt.Println(err)
	// Output:
	// 1 false <nil>
	// 1 true <nil>
	// 2 false <nil>
	// idempotency: key was used for another request
}

// A call that takes long claims its key by a lease, and opens a transaction at its end.
func ExampleStore_In() {
	ctx := context.Background()
	db, end := exampleDB()
	defer end()
	store := steadysql.MustNew(steadysql.Config{DB: db, Dialect: steadysql.SQLite})
	if err := store.Create(ctx); err != nil {
		log.Fatal(err)
	}
	guard := idempotency.MustNew(idempotency.Config{Scope: "payments", Store: store, OnUnknown: idempotency.Rerun})

	pay := func(ctx context.Context) (receipt string, err error) {
		e, _ := idempotency.FromContext(ctx)
		receipt = "receipt of attempt " + fmt.Sprint(e.Attempt) // from another system, which was given e.DownstreamKey("charge")

		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return "", err
		}
		defer tx.Rollback() // does nothing after a commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (item) VALUES (?)", receipt); err != nil {
			return "", err
		}
		if err := idempotency.Finish(ctx, e, store.In(tx), receipt); err != nil {
			return "", err // somebody else has the key by now: the order is rolled back
		}
		return receipt, tx.Commit()
	}
	for range 2 {
		receipt, info, err := idempotency.Do(ctx, guard, "key", "", pay)
		fmt.Println(receipt, info.Replayed, err)
	}
	// Output:
	// receipt of attempt 1 false <nil>
	// receipt of attempt 1 true <nil>
}

// Keys whose retention is over are deleted from time to time.
func ExampleStore_DeleteExpired() {
	ctx := context.Background()
	db, end := exampleDB()
	defer end()
	store := steadysql.MustNew(steadysql.Config{DB: db, Dialect: steadysql.SQLite})
	if err := store.Create(ctx); err != nil {
		log.Fatal(err)
	}

	sweep := func() (all int64, err error) { // once a minute, in one of the processes
		const batch = 1000
		for {
			n, err := store.DeleteExpired(ctx, batch)
			all += n
			if err != nil || n < batch {
				return all, err
			}
			time.Sleep(100 * time.Millisecond) // let others write
		}
	}
	fmt.Println(sweep())
	// Output: 0 <nil>
}
