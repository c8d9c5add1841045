package steadysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"

	steadysql "github.com/steady-go/steady/contrib/sql"
)

var key = strings.Repeat("0", 64)

// claim returns one of the key, by a token.
func claim(token string) idempotency.Claim {
	return idempotency.Claim{Key: key, Token: token, Lease: time.Hour, Keep: 2 * time.Hour}
}

func TestEveryFaultOfAConfigIsNamed(t *testing.T) {
	_, err := steadysql.New(steadysql.Config{Table: "a; DROP TABLE b"})
	require.EqualError(t, err, "steadysql: Config.DB must be set, got nil\n"+
		"steadysql: Config.Dialect must be PostgreSQL or SQLite, got none\n"+
		"steadysql: Config.Table must be 1 to 50 ASCII letters, digits and _, with one dot at most, after a schema of the same, got \"a; DROP TABLE b\"")
	require.Panics(t, func() { steadysql.MustNew(steadysql.Config{}) })
}

func TestNamesOfTablesAreChecked(t *testing.T) {
	for name, ok := range map[string]bool{
		"":                              true,
		"keys":                          true,
		"Order":                         true, // a reserved word, and case
		"_1":                            true,
		"1":                             true,
		"app.keys":                      true,
		strings.Repeat("a", 50):         true,
		strings.Repeat("a", 51):         false,
		"a.b.c":                         false,
		".a":                            false,
		"a.":                            false,
		".":                             false,
		"a b":                           false,
		"a-b":                           false,
		`a"b`:                           false,
		"a;b":                           false,
		"a\x00":                         false,
		"a\n":                           false,
		"schlüssel":                     false,
		strings.Repeat("s", 51) + ".a":  false,
		"x.y; DROP TABLE z; SELECT 1--": false,
	} {
		_, err := steadysql.New(steadysql.Config{DB: new(sql.DB), Dialect: steadysql.SQLite, Table: name})
		require.Equal(t, ok, err == nil, "%q: %v", name, err)
		if ok {
			require.NotPanics(t, func() { steadysql.Schema(steadysql.PostgreSQL, name) })
		} else {
			require.Panics(t, func() { steadysql.Schema(steadysql.PostgreSQL, name) })
		}
	}
}

func TestDialectsHaveNames(t *testing.T) {
	require.Equal(t, "none PostgreSQL SQLite", fmt.Sprint(steadysql.Dialect(0), steadysql.PostgreSQL, steadysql.SQLite))
}

func TestATableMayHaveAnyNameThatIsAllowed(t *testing.T) {
	names := map[steadysql.Dialect][]string{
		steadysql.PostgreSQL: {"Order", "order", "1", `Sales.keys`, strings.Repeat("x", 50)},
		steadysql.SQLite:     {"Order", "1", "main.keys", strings.Repeat("x", 50)},
	}
	onBoth(t, func(t *testing.T, d *database) {
		db := d.connect(t)
		if d.dialect == steadysql.PostgreSQL {
			run(t, db, `CREATE SCHEMA IF NOT EXISTS "Sales"`)
		}
		for _, name := range names[d.dialect] {
			d.table = name
			s := d.with(db)
			require.NoError(t, s.Create(t.Context()))
			require.NoError(t, s.Create(t.Context()), "again")
			g, err := s.Begin(t.Context(), claim("a"))
			require.NoError(t, err)
			require.Equal(t, idempotency.Acquired, g.Status, "tables do not know of each other")
		}
		indexes := "SELECT count(*) FROM sqlite_master WHERE name LIKE '%_keep_until'"
		if d.dialect == steadysql.PostgreSQL {
			indexes = "SELECT count(*) FROM pg_indexes WHERE indexname IN ('Order_keep_until', 'order_keep_until', '1_keep_until', 'keys_keep_until', '" +
				strings.Repeat("x", 50) + "_keep_until')"
		}
		require.Equal(t, len(names[d.dialect]), count(t, db, indexes))
	})
}

func TestTheSchemaIsWhatCreateMakes(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		d.table = "from_schema"
		db := d.connect(t)
		run(t, db, steadysql.Schema(d.dialect, d.table))
		s := d.with(db)
		require.NoError(t, s.Create(t.Context()))
		_, err := s.Begin(t.Context(), claim("a"))
		require.NoError(t, err)
	})
}

func TestSeveralMayCreateAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		for round := range 5 {
			d.table = fmt.Sprint("at_once_", round)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for range 10 {
				s := d.with(d.connect(t)) // as a process of its own
				wg.Go(func() {
					<-start
					if err := s.Create(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			wg.Wait()
		}
	})
}

func TestWithoutATableEachMethodReturnsAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		d.table = "missing"
		s := d.with(d.connect(t))
		_, err := s.Begin(t.Context(), claim("a"))
		require.ErrorContains(t, err, "steadysql: Begin: ")
		for method, err := range map[string]error{
			"Extend":  s.Extend(t.Context(), key, "a", time.Hour),
			"Finish":  s.Finish(t.Context(), key, "a", nil, time.Hour),
			"Release": s.Release(t.Context(), key, "a"),
		} {
			require.ErrorContains(t, err, "steadysql: "+method+": ")
			require.NotErrorIs(t, err, idempotency.ErrLost)
		}
		_, err = s.DeleteExpired(t.Context(), 1)
		require.ErrorContains(t, err, "steadysql: DeleteExpired: ")
	})
}

func TestTheLongestDurationsDoNotOverflow(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s, _ := d.open(t)
		c := claim("a")
		c.Lease, c.Keep = math.MaxInt64, math.MaxInt64
		_, err := s.Begin(t.Context(), c)
		require.NoError(t, err)
		require.NoError(t, s.Extend(t.Context(), key, "a", math.MaxInt64))
		g, err := s.Begin(t.Context(), claim("b"))
		require.NoError(t, err)
		require.Equal(t, idempotency.Busy, g.Status)
		require.Greater(t, g.LeaseLeft, 200*365*24*time.Hour)
		require.NoError(t, s.Finish(t.Context(), key, "a", idempotency.Outcome("x"), math.MaxInt64))
		n, err := s.DeleteExpired(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, n)
		g, err = s.Begin(t.Context(), claim("b"))
		require.NoError(t, err)
		require.Equal(t, idempotency.Done, g.Status)
	})
}

func TestOnlyWhatIsExpiredIsDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s, db := d.open(t)
		begin := func(n int, keep time.Duration) idempotency.Claim {
			c := claim("a")
			c.Key, c.Lease, c.Keep = fmt.Sprintf("%064x", n), 50*time.Millisecond, keep
			g, err := s.Begin(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, idempotency.Acquired, g.Status)
			return c
		}
		for n := range 7 {
			begin(n, 50*time.Millisecond)
		}
		lapsed := begin(7, time.Hour)
		finished := begin(8, time.Hour)
		require.NoError(t, s.Finish(t.Context(), finished.Key, "a", idempotency.Outcome("kept"), time.Hour))
		ended := begin(9, time.Hour)
		require.NoError(t, s.Finish(t.Context(), ended.Key, "a", idempotency.Outcome("ended"), 50*time.Millisecond))
		extended := begin(10, 50*time.Millisecond)
		require.NoError(t, s.Extend(t.Context(), extended.Key, "a", time.Hour))
		time.Sleep(80 * time.Millisecond)
		again := begin(0, time.Hour) // an expired one that was claimed anew

		for _, want := range []int64{5, 2, 0} {
			n, err := s.DeleteExpired(t.Context(), 5)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Equal(t, 4, count(t, db, "SELECT count(*) FROM "+tableOf(d)))
		for want, c := range map[string]idempotency.Claim{"unknown": lapsed, "done": finished, "busy": extended} {
			c.Token, c.RefuseUnknown = "b", true
			g, err := s.Begin(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, want, g.Status.String())
		}
		require.NoError(t, s.Release(t.Context(), again.Key, "a"))
		for _, limit := range []int{0, -1} {
			_, err := s.DeleteExpired(t.Context(), limit)
			require.EqualError(t, err, fmt.Sprintf("steadysql: DeleteExpired: limit must be > 0, got %d", limit))
		}
	})
}

// tableOf returns the name of the table of a database.
func tableOf(d *database) string {
	if d.table == "" {
		return "steady_idempotency"
	}
	return d.table
}

func TestADeletionDoesNotWaitForTransactionsNorDeleteWhatTheyClaim(t *testing.T) {
	d := onPostgres(t)
	s, db := d.open(t)
	c := claim("a")
	c.Lease, c.Keep = time.Millisecond, time.Millisecond
	_, err := s.Begin(t.Context(), c)
	require.NoError(t, err)
	time.Sleep(10 * time.Millisecond)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	g, err := s.In(tx).Begin(t.Context(), claim("b"))
	require.NoError(t, err)
	require.Equal(t, 1, g.Attempt)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	n, err := s.DeleteExpired(ctx, 10)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, tx.Commit())
	require.NoError(t, s.Extend(t.Context(), key, "b", time.Hour))
}

func TestTheClockGoesOnWithinATransaction(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s, db := d.open(t)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		in := s.In(tx)
		c := claim("a")
		c.Lease = 50 * time.Millisecond
		_, err = in.Begin(t.Context(), c)
		require.NoError(t, err)
		g, err := in.Begin(t.Context(), claim("b"))
		require.NoError(t, err)
		require.Equal(t, idempotency.Busy, g.Status)
		time.Sleep(80 * time.Millisecond)
		g, err = in.Begin(t.Context(), claim("b"))
		require.NoError(t, err)
		require.Equal(t, idempotency.Acquired, g.Status)
		require.True(t, g.Recovered)
		require.NoError(t, tx.Commit())
	})
}

// A stricter level may refuse a claim, and must not grant it from what an old snapshot shows.
func TestAStricterIsolationGrantsNothingWrongly(t *testing.T) {
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		for _, test := range []struct {
			name   string
			before func(t *testing.T, s *steadysql.Store) // the snapshot
			after  func(t *testing.T, s *steadysql.Store)
		}{
			{"another claims the key first", nil, func(t *testing.T, s *steadysql.Store) { acquire(t, s, "a") }},
			{"another finishes the key first", nil, func(t *testing.T, s *steadysql.Store) {
				acquire(t, s, "a")
				require.NoError(t, s.Finish(t.Context(), key, "a", idempotency.Outcome("done"), time.Hour))
			}},
			{"another takes an orphan first", func(t *testing.T, s *steadysql.Store) {
				acquire(t, s, "a")
				require.NoError(t, s.Extend(t.Context(), key, "a", 0))
			}, func(t *testing.T, s *steadysql.Store) { acquire(t, s, "b") }},
			{"another takes a released key first", func(t *testing.T, s *steadysql.Store) {
				acquire(t, s, "a")
				require.NoError(t, s.Release(t.Context(), key, "a"))
			}, func(t *testing.T, s *steadysql.Store) { acquire(t, s, "b") }},
		} {
			t.Run(level.String()+": "+test.name, func(t *testing.T) {
				s, db := onPostgres(t).open(t)
				if test.before != nil {
					test.before(t, s)
				}
				tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
				require.NoError(t, err)
				defer func() { require.NoError(t, tx.Rollback()) }()
				_, err = tx.Exec("SELECT 1")
				require.NoError(t, err)
				test.after(t, s)
				g, err := s.In(tx).Begin(t.Context(), claim("late"))
				require.ErrorContains(t, err, "40001", "%+v", g)
				require.Zero(t, g)
			})
		}
	}
}

// acquire claims the key.
func acquire(t *testing.T, s idempotency.Store, token string) {
	t.Helper()
	g, err := s.Begin(t.Context(), claim(token))
	require.NoError(t, err)
	require.Equal(t, idempotency.Acquired, g.Status)
}

func TestAStaleOwnerIsRefusedUnderAStricterIsolation(t *testing.T) {
	s, db := onPostgres(t).open(t)
	acquire(t, s, "a")
	require.NoError(t, s.Extend(t.Context(), key, "a", 0))
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	_, err = tx.Exec("SELECT 1")
	require.NoError(t, err)
	acquire(t, s, "b")
	require.ErrorContains(t, s.In(tx).Finish(t.Context(), key, "a", idempotency.Outcome("stale"), time.Hour), "40001")
}
