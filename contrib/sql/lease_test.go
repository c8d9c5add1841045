package steadysql_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
)

// ship is a call that stores an order and its outcome in one transaction, at its end. between is what happens before that.
func (s *shop) ship(ctx context.Context, item string, between func(e idempotency.Execution)) (string, error) {
	e, ok := idempotency.FromContext(ctx)
	if !ok {
		return "", errors.New("no execution")
	}
	tx, err := s.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback() // after a commit it does nothing
	if between != nil {
		between(e)
	}
	if err := s.place(context.WithoutCancel(ctx), tx, item); err != nil {
		return "", err
	}
	if err := idempotency.Finish(context.WithoutCancel(ctx), e, s.store.In(tx), "shipped "+item); err != nil {
		return "", err
	}
	return "shipped " + item, tx.Commit()
}

func TestAnOutcomeIsCommittedWithTheDataOfTheCall(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		for replayed := range 2 {
			v, info, err := idempotency.Do(t.Context(), s.guard, "k", "", func(ctx context.Context) (string, error) {
				return s.ship(ctx, "book", nil)
			})
			require.NoError(t, err)
			require.NoError(t, info.Err)
			require.Equal(t, "shipped book", v)
			require.Equal(t, replayed == 1, info.Replayed)
			require.Equal(t, 1, s.placed())
		}
	})
}

// The process dies after the commit, before Do has heard of it: there is nothing to recover.
func TestAnOutcomeThatWasCommittedOutlivesACrashAfterIt(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		_, _, err := idempotency.Do(t.Context(), s.guard, "k", "", func(ctx context.Context) (string, error) {
			_, err := s.ship(ctx, "book", nil)
			return "", errors.Join(err, errBroken)
		})
		require.ErrorIs(t, err, errBroken)
		v, info, err := idempotency.Do(t.Context(), s.guard, "k", "", func(context.Context) (string, error) {
			return "", errors.New("called")
		})
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, "shipped book", v)
		require.Equal(t, 1, s.placed())
	})
}

func TestTheDataOfAStaleOwnerIsRolledBack(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s := newShop(t, d, idempotency.Config{})
		other := newShop(t, d, idempotency.Config{})
		_, info, err := idempotency.Do(t.Context(), s.guard, "k", "", func(ctx context.Context) (string, error) {
			e, _ := idempotency.FromContext(ctx)
			require.NoError(t, s.store.Extend(ctx, e.Key, e.Token, 0)) // as if the process had slept past its lease
			v, info, err := idempotency.Do(t.Context(), other.guard, "k", "", func(ctx context.Context) (string, error) {
				return other.ship(ctx, "book of the next", nil)
			})
			require.NoError(t, err)
			require.True(t, info.Recovered)
			require.Equal(t, "shipped book of the next", v)

			v, err = s.ship(ctx, "book of the stale one", nil)
			require.ErrorIs(t, err, idempotency.ErrLost)
			return v, err
		})
		require.ErrorIs(t, err, idempotency.ErrLost)
		require.False(t, info.Replayed)
		v, info, err := idempotency.Do(t.Context(), s.guard, "k", "", func(context.Context) (string, error) {
			return "", errors.New("called")
		})
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, "shipped book of the next", v)
		require.Equal(t, 1, s.placed())
		require.Equal(t, 1, count(t, s.db, "SELECT count(*) FROM "+s.orders()+" WHERE item = 'book of the next'"))
	})
}

// The owner has stored its outcome, and not committed it, when its lease ends. Whoever comes waits for it instead of taking over.
func TestWhoComesWhileAnOutcomeIsBeingCommittedWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database) {
		s, db := d.open(t)
		c := claim("owner")
		c.Lease = 50 * time.Millisecond
		_, err := s.Begin(t.Context(), c)
		require.NoError(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, s.In(tx).Finish(t.Context(), key, "owner", idempotency.Outcome("done"), time.Hour))
		time.Sleep(80 * time.Millisecond)
		got := make(chan idempotency.Grant, 1)
		go func() {
			g, err := s.Begin(t.Context(), claim("next"))
			if err != nil {
				t.Error(err)
			}
			got <- g
		}()
		select {
		case g := <-got:
			require.Fail(t, "it did not wait", "%+v", g)
		case <-time.After(100 * time.Millisecond):
		}
		require.NoError(t, tx.Commit())
		g := <-got
		require.Equal(t, idempotency.Done.String(), g.Status.String())
		require.Equal(t, "done", string(g.Outcome))
	})
}

func TestKeysOutliveAServerThatIsKilled(t *testing.T) {
	server := ownServer(t)
	d := server.database("keys")
	s := newShop(t, d, idempotency.Config{Lease: time.Second})
	_, _, err := s.once(t.Context(), "once", "book", nil)
	require.NoError(t, err)
	_, _, err = idempotency.Do(t.Context(), s.guard, "do", "", func(context.Context) (string, error) { return "by lease", nil })
	require.NoError(t, err)
	claimed := claim("dead")
	claimed.Lease = time.Second
	first, err := s.store.Begin(t.Context(), claimed)
	require.NoError(t, err)
	began := time.Now()

	open := s.begin()
	_, _, err = idempotency.Once(t.Context(), s.guard, s.store.In(open), "uncommitted", "", func(ctx context.Context) (int, error) {
		return 1, s.place(ctx, open, "lost")
	})
	require.NoError(t, err)

	server.kill()
	_, err = s.store.Begin(t.Context(), claim("while it is down"))
	require.Error(t, err)
	_, _, err = s.once(t.Context(), "once", "book", nil)
	require.Error(t, err, "not a second order")
	require.Error(t, open.Commit())
	require.NoError(t, server.start())
	down := time.Since(began)

	v, info, err := s.once(t.Context(), "once", "book", nil)
	require.NoError(t, err)
	require.True(t, info.Replayed)
	require.Equal(t, "order of book", v)
	v, info, err = idempotency.Do(t.Context(), s.guard, "do", "", func(context.Context) (string, error) { return "", errors.New("called") })
	require.NoError(t, err)
	require.True(t, info.Replayed)
	require.Equal(t, "by lease", v)
	require.Equal(t, 1, s.placed(), "what was not committed is gone")
	_, info, err = s.once(t.Context(), "uncommitted", "", nil)
	require.NoError(t, err)
	require.Equal(t, 1, info.Attempt)

	var g idempotency.Grant
	eventually(t, "the end of the lease", func() bool {
		g, err = s.store.Begin(t.Context(), claim("next"))
		require.NoError(t, err)
		return g.Status == idempotency.Acquired
	})
	require.GreaterOrEqual(t, time.Since(began), time.Second-10*time.Millisecond)
	require.True(t, g.Recovered)
	require.Equal(t, 2, g.Attempt)
	require.Greater(t, g.Fence, first.Fence)
	require.ErrorIs(t, s.store.Finish(t.Context(), key, "dead", nil, time.Hour), idempotency.ErrLost)
	t.Logf("the server was back %v after the claim", down.Round(time.Millisecond))
}

// hang keeps a row locked, as a transaction does that somebody has left open.
func hang(t *testing.T, db *sql.DB, statement string, args ...any) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	_, err = tx.Exec(statement, args...)
	require.NoError(t, err)
	return tx
}

func TestWhoWaitsForALockObeysItsContext(t *testing.T) {
	d := onPostgres(t)
	s, db := d.open(t)
	acquire(t, s, "owner")
	tx := hang(t, db, "SELECT * FROM "+d.table+" FOR UPDATE")
	for name, do := range map[string]func(ctx context.Context) error{
		"Extend":  func(ctx context.Context) error { return s.Extend(ctx, key, "owner", time.Hour) },
		"Finish":  func(ctx context.Context) error { return s.Finish(ctx, key, "owner", nil, time.Hour) },
		"Release": func(ctx context.Context) error { return s.Release(ctx, key, "owner") },
		"Begin": func(ctx context.Context) error {
			_, err := s.Begin(ctx, claim("owner"))
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := do(ctx)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.NotErrorIs(t, err, idempotency.ErrLost, name)
	}
	require.NoError(t, tx.Rollback()) // the server may do now what was given up
}
