package steadysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"

	steadysql "github.com/steady-go/steady/contrib/sql"
)

// A shop is a service that places orders in the database of its keys.
type shop struct {
	*testing.T
	db    *sql.DB
	store *steadysql.Store
	guard *idempotency.Guard
	on    *database
}

var (
	errDeclined = errors.New("declined")
	errBroken   = errors.New("broken")
)

func newShop(t *testing.T, d *database, c idempotency.Config) *shop {
	t.Helper()
	s, db := d.open(t)
	c.Store = s
	if c.OnUnknown == 0 {
		c.OnUnknown = idempotency.Rerun
	}
	c.Errors = map[string]error{"declined": errDeclined}
	shop := &shop{T: t, db: db, store: s, guard: idempotency.MustNew(c), on: d}
	run(t, db, "CREATE TABLE IF NOT EXISTS "+shop.orders()+" (item text NOT NULL)")
	return shop
}

func (s *shop) orders() string { return s.on.table + "orders" }

// placed returns how many orders there are.
func (s *shop) placed() int {
	s.Helper()
	return count(s.T, s.db, "SELECT count(*) FROM "+s.orders())
}

// keys returns how many keys there are.
func (s *shop) keys() int {
	s.Helper()
	return count(s.T, s.db, "SELECT count(*) FROM "+tableOf(s.on))
}

func (s *shop) begin() *sql.Tx {
	s.Helper()
	tx, err := s.db.BeginTx(context.Background(), nil)
	require.NoError(s, err)
	return tx
}

// place places an order in a transaction.
func (s *shop) place(ctx context.Context, tx *sql.Tx, item string) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (item) VALUES ('%s')", s.orders(), item))
	return err
}

// once is what a service does: an order and its outcome in one transaction.
func (s *shop) once(ctx context.Context, key, item string, fails error) (string, idempotency.Info, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", idempotency.Info{}, err
	}
	defer tx.Rollback() // after a commit it does nothing
	v, info, err := idempotency.Once(ctx, s.guard, s.store.In(tx), key, item, func(ctx context.Context) (string, error) {
		if err := s.place(ctx, tx, item); err != nil {
			return "", err
		}
		return "order of " + item, fails
	})
	if err == nil || errors.Is(err, errDeclined) {
		err = errors.Join(err, tx.Commit())
	}
	return v, info, err
}

func TestOnceReplaysWhatWasCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		v, info, err := s.once(t.Context(), "k", "book", nil)
		require.NoError(t, err)
		require.Equal(t, "order of book", v)
		require.False(t, info.Replayed)
		require.Equal(t, 1, info.Attempt)

		again := newShop(t, d, idempotency.Config{}) // another process
		for _, s := range []*shop{s, again} {
			v, info, err = s.once(t.Context(), "k", "book", nil)
			require.NoError(t, err)
			require.Equal(t, "order of book", v)
			require.True(t, info.Replayed)
		}
		v, info, err = idempotency.Do(t.Context(), s.guard, "k", "book", func(context.Context) (string, error) {
			return "", errors.New("called")
		})
		require.NoError(t, err)
		require.True(t, info.Replayed, "Do replays it too")
		require.Equal(t, "order of book", v)
		require.Equal(t, 1, s.placed())
	})
}

func TestAFinalErrorThatWasCommittedIsReplayed(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		for replayed := range 2 {
			_, info, err := s.once(t.Context(), "k", "book", idempotency.Final(fmt.Errorf("card: %w", errDeclined)))
			require.ErrorIs(t, err, errDeclined)
			require.Equal(t, replayed == 1, info.Replayed)
			require.Equal(t, 1, s.placed())
		}
	})
}

func TestAnotherRequestWithTheKeyIsAMismatch(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		_, _, err := s.once(t.Context(), "k", "book", nil)
		require.NoError(t, err)
		_, _, err = s.once(t.Context(), "k", "two books", nil)
		require.ErrorIs(t, err, idempotency.ErrMismatch)
		require.Equal(t, 1, s.placed())
	})
}

func TestWhatIsNotCommittedLeavesNothing(t *testing.T) {
	rollBack := func(t *testing.T, tx *sql.Tx, conn *sql.Conn) {
		require.NoError(t, tx.Rollback())
		require.NoError(t, conn.Close())
	}
	for _, test := range []struct {
		name  string
		fails error
		end   func(t *testing.T, tx *sql.Tx, conn *sql.Conn)
	}{
		{"the call fails", errBroken, rollBack},
		{"the call succeeds and is rolled back", nil, rollBack},
		{"the connection is closed", nil, func(t *testing.T, _ *sql.Tx, conn *sql.Conn) { // as by the end of the process
			require.NoError(t, conn.Raw(func(driver any) error { return driver.(interface{ Close() error }).Close() }))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, d *database) {
				s := newShop(t, d, idempotency.Config{})
				conn, err := s.db.Conn(t.Context())
				require.NoError(t, err)
				tx, err := conn.BeginTx(context.Background(), nil)
				require.NoError(t, err)
				_, _, err = idempotency.Once(t.Context(), s.guard, s.store.In(tx), "k", "book", func(ctx context.Context) (int, error) {
					return 1, errors.Join(s.place(ctx, tx, "book"), test.fails)
				})
				require.ErrorIs(t, err, test.fails)
				test.end(t, tx, conn)
				other, _ := d.open(t)
				s.store, s.db = other, d.connect(t)
				require.Zero(t, s.placed())
				require.Zero(t, s.keys())

				_, info, err := s.once(t.Context(), "k", "another book", nil)
				require.NoError(t, err)
				require.Equal(t, 1, info.Attempt)
				require.False(t, info.Recovered)
				require.Equal(t, 1, s.placed())
			})
		})
	}
}

func TestManyDuplicatesAtOncePlaceOneOrder(t *testing.T) {
	const duplicates = 50
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		s.db.SetMaxOpenConns(duplicates)
		var ran, replayed, failed atomic.Int32
		var wg sync.WaitGroup
		for range duplicates {
			wg.Go(func() {
				fails := errBroken
				if ran.Load() >= 3 { // the first executions are rolled back
					fails = nil
				}
				tx, err := s.db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer tx.Rollback() // after a commit it does nothing
				v, info, err := idempotency.Once(t.Context(), s.guard, s.store.In(tx), "k", "", func(ctx context.Context) (string, error) {
					if ran.Add(1) > 3 {
						fails = nil
					}
					return "the order", errors.Join(s.place(ctx, tx, "book"), fails)
				})
				switch {
				case errors.Is(err, errBroken):
					failed.Add(1)
					return
				case err != nil:
					t.Error(err)
					return
				}
				if info.Replayed {
					replayed.Add(1)
				}
				if v != "the order" {
					t.Errorf("value %q", v)
				}
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, s.placed())
		require.EqualValues(t, 4, ran.Load(), "three that were rolled back, and one")
		require.EqualValues(t, 3, failed.Load())
		require.EqualValues(t, duplicates-4, replayed.Load())
	})
}

func TestADuplicateWaitsForTheTransactionOfTheOriginal(t *testing.T) {
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("which commits: %v", commits), func(t *testing.T) {
			onBoth(t, func(t *testing.T, d *database) {
				s := newShop(t, d, idempotency.Config{})
				first := s.begin()
				_, info, err := idempotency.Once(t.Context(), s.guard, s.store.In(first), "k", "", func(ctx context.Context) (int, error) {
					return 1, s.place(ctx, first, "book")
				})
				require.NoError(t, err)

				type result struct {
					v    string
					info idempotency.Info
					err  error
				}
				got := make(chan result, 2)
				go func() { // in a transaction of its own
					v, info, err := s.once(t.Context(), "k", "", nil)
					got <- result{v, info, err}
				}()
				select {
				case r := <-got:
					require.Fail(t, "it did not wait", "%+v", r)
				case <-time.After(100 * time.Millisecond):
				}
				if !commits {
					require.NoError(t, first.Rollback())
					r := <-got
					require.NoError(t, r.err)
					require.False(t, r.info.Replayed)
					require.Equal(t, 1, r.info.Attempt)
					require.Greater(t, r.info.Fence, info.Fence, "though that was rolled back")
					require.Equal(t, 1, s.placed())
					return
				}
				require.NoError(t, first.Commit())
				r := <-got
				require.ErrorIs(t, r.err, idempotency.ErrNotReplayable, "an int is no string")
				require.Equal(t, 1, s.placed())
			})
		})
	}
}

func TestAClaimWaitsForTheTransactionOfAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		first := s.begin()
		g, err := s.store.In(first).Begin(t.Context(), claim("first"))
		require.NoError(t, err)

		if d.dialect == steadysql.PostgreSQL { // SQLite waits for as long as busy_timeout says
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = s.store.Begin(ctx, claim("hasty"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}

		got := make(chan idempotency.Grant, 1)
		go func() {
			c := claim("second")
			c.Lease = 150 * time.Millisecond
			g, err := s.store.Begin(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			got <- g
		}()
		time.Sleep(300 * time.Millisecond) // longer than the lease
		require.NoError(t, first.Rollback())
		second := <-got
		require.Equal(t, idempotency.Acquired, second.Status)
		require.Greater(t, second.Fence, g.Fence)
		third, err := s.store.Begin(t.Context(), claim("third"))
		require.NoError(t, err)
		require.Equal(t, idempotency.Busy.String(), third.Status.String(), "the lease counts from after the wait")
	})
}

func TestFencesGrowOverTransactionsThatAreRolledBack(t *testing.T) {
	const each = 6
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		var mu sync.Mutex
		var fences []uint64
		var wg sync.WaitGroup
		for who := range 8 {
			wg.Go(func() {
				for n := range each {
					tx, err := s.db.BeginTx(t.Context(), nil)
					if err != nil {
						t.Error(err)
						return
					}
					g, err := s.store.In(tx).Begin(t.Context(), claim(fmt.Sprint(who, n)))
					if err != nil || g.Status != idempotency.Acquired || g.Attempt != 1 {
						t.Errorf("%+v, %v", g, err)
					}
					mu.Lock() // the others wait for us in the database
					fences = append(fences, g.Fence)
					mu.Unlock()
					if err := tx.Rollback(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.Len(t, fences, 8*each)
		for i := range len(fences) - 1 {
			require.Greater(t, fences[i+1], fences[i], "fence %d of %v", i+1, fences)
		}
	})
}

func TestAKeyThatIsHeldByALeaseIsInFlightForOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		v, _, err := idempotency.Do(t.Context(), s.guard, "k", "book", func(ctx context.Context) (string, error) {
			_, _, err := s.once(ctx, "k", "book", nil)
			require.ErrorIs(t, err, idempotency.ErrInFlight)
			return "by lease", nil
		})
		require.NoError(t, err)
		require.Equal(t, "by lease", v)
		v, info, err := s.once(t.Context(), "k", "book", nil)
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, "by lease", v)
		require.Zero(t, s.placed())
	})
}

// With SQLite that would be a transaction that keeps all others from writing while it waits.
func TestATransactionThatFindsAKeyInFlightDoesNotHoldUpItsOwner(t *testing.T) {
	s := newShop(t, onPostgres(t), idempotency.Config{})
	_, err := s.store.Begin(t.Context(), claim("owner"))
	require.NoError(t, err)
	tx := s.begin()
	g, err := s.store.In(tx).Begin(t.Context(), claim("duplicate"))
	require.NoError(t, err)
	require.Equal(t, idempotency.Busy, g.Status)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	g, err = s.store.Begin(ctx, claim("another duplicate"))
	require.NoError(t, err)
	require.Equal(t, idempotency.Busy, g.Status)
	require.NoError(t, s.store.Extend(ctx, key, "owner", time.Hour))
	require.NoError(t, s.store.Finish(ctx, key, "owner", idempotency.Outcome("done"), time.Hour))

	g, err = s.store.In(tx).Begin(t.Context(), claim("duplicate"))
	require.NoError(t, err)
	require.Equal(t, idempotency.Done, g.Status, "it sees what was committed meanwhile")
	require.NoError(t, tx.Rollback())
}
