package steadybbolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	steadybbolt "github.com/steady-go/steady/contrib/bbolt"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(func(path string) (idempotency.Store, error) {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Minute})
		if err != nil {
			return nil, err
		}
		return steadybbolt.New(steadybbolt.Config{DB: db})
	})
	os.Exit(m.Run())
}

func openDB(t *testing.T, path string) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func newStore(t *testing.T) (*bbolt.DB, *steadybbolt.Store) {
	t.Helper()
	db := openDB(t, filepath.Join(t.TempDir(), "keys.db"))
	s, err := steadybbolt.New(steadybbolt.Config{DB: db})
	require.NoError(t, err)
	return db, s
}

func TestConformance(t *testing.T) {
	storetest.TestStoreInBubbles(t, func(t *testing.T) func() idempotency.Store {
		_, s := newStore(t)
		return func() idempotency.Store { return s }
	})
}

// eachInATransaction is the store in a transaction for each call.
type eachInATransaction struct {
	db *bbolt.DB
	s  *steadybbolt.Store
}

func (s eachInATransaction) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error { g, err = s.s.In(tx).Begin(ctx, c); return err })
	return g, err
}

func (s eachInATransaction) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return s.s.In(tx).Extend(ctx, key, token, lease) })
}

func (s eachInATransaction) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return s.s.In(tx).Finish(ctx, key, token, o, keep) })
}

func (s eachInATransaction) Release(ctx context.Context, key, token string) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return s.s.In(tx).Release(ctx, key, token) })
}

func TestConformanceInTransactions(t *testing.T) {
	storetest.TestStoreInBubbles(t, func(t *testing.T) func() idempotency.Store {
		db, s := newStore(t)
		return func() idempotency.Store { return eachInATransaction{db, s} }
	})
}

func TestCrashes(t *testing.T) {
	storetest.TestCrashes(t, storetest.Crashes{Source: filepath.Join(t.TempDir(), "keys.db")})
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	_, err := steadybbolt.New(steadybbolt.Config{})
	require.EqualError(t, err, "steadybbolt: Config.DB must be set, got <nil>")

	path := filepath.Join(t.TempDir(), "keys.db")
	openDB(t, path).NoSync = false
	lax := openDB(t, filepath.Join(t.TempDir(), "lax.db"))
	lax.NoSync = true
	_, err = steadybbolt.New(steadybbolt.Config{DB: lax})
	require.EqualError(t, err, "steadybbolt: Config.DB must sync its writes, got NoSync or NoGrowSync")
	lax.NoSync = false

	require.NoError(t, lax.Close())
	only, err := bbolt.Open(lax.Path(), 0o600, &bbolt.Options{ReadOnly: true})
	if err == nil {
		defer only.Close()
		_, err = steadybbolt.New(steadybbolt.Config{DB: only})
		require.EqualError(t, err, "steadybbolt: Config.DB must be open for writing, got one that is read-only")
	}
}

func TestRecordsPastRetentionGo(t *testing.T) {
	db, s := newStore(t)
	const n = 100
	for i := range n {
		key := fmt.Sprintf("%064x", i)
		_, err := s.Begin(t.Context(), idempotency.Claim{Key: key, Token: "a", Lease: time.Hour, Keep: time.Hour})
		require.NoError(t, err)
		require.NoError(t, s.Finish(t.Context(), key, "a", idempotency.Outcome("done"), 0))
	}
	for i := range 10 {
		_, err := s.Begin(t.Context(), idempotency.Claim{Key: fmt.Sprintf("%064x", n+i), Token: "a", Lease: time.Hour, Keep: time.Hour})
		require.NoError(t, err)
	}
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket([]byte("steady idempotency"))
		for _, name := range []string{"records", "ends"} {
			require.Equal(t, 10, top.Bucket([]byte(name)).Stats().KeyN, name)
		}
		return nil
	}))
}

func TestABrokenRecordIsAnErrorAndRunsNothing(t *testing.T) {
	db, s := newStore(t)
	guard := idempotency.MustNew(idempotency.Config{Store: s, OnUnknown: idempotency.Rerun})
	call := func(context.Context) (int, error) { return 1, nil }
	_, info, err := idempotency.Do(t.Context(), guard, "a", "", call)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("steady idempotency")).Bucket([]byte("records")).Put([]byte(info.Key), []byte{1, 2, 3})
	}))
	_, _, err = idempotency.Do(t.Context(), guard, "a", "", func(context.Context) (int, error) { t.Error("called"); return 1, nil })
	require.ErrorIs(t, err, idempotency.ErrStore)
	require.ErrorContains(t, err, "record of key "+info.Key+": is broken")
}

// ledger places an order in the transaction of its key.
type ledger struct {
	db    *bbolt.DB
	s     *steadybbolt.Store
	guard *idempotency.Guard
}

func newLedger(t *testing.T) ledger {
	t.Helper()
	db, s := newStore(t)
	return ledger{db, s, idempotency.MustNew(idempotency.Config{Store: s, OnUnknown: idempotency.Rerun, Lease: 50 * time.Millisecond})}
}

var errCrash = errors.New("crash")

func (l ledger) place(ctx context.Context, key string, ends error) (n uint64, info idempotency.Info, err error) {
	commit := l.db.Update(func(tx *bbolt.Tx) error {
		n, info, err = idempotency.Once(ctx, l.guard, l.s.In(tx), key, "order", func(ctx context.Context) (uint64, error) {
			orders, err := tx.CreateBucketIfNotExists([]byte("orders"))
			if err != nil {
				return 0, err
			}
			n, err := orders.NextSequence()
			if err != nil {
				return 0, err
			}
			return n, errors.Join(orders.Put(fmt.Append(nil, n), []byte(key)), ends)
		})
		return err
	})
	return n, info, errors.Join(err, commit)
}

func (l ledger) orders(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, l.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("orders")); b != nil {
			n = b.Stats().KeyN
		}
		return nil
	}))
	return n
}

// Effect and key are committed together, or neither: there is nothing to be unknown, and no lease to wait for.
func TestOnceIsAllOrNothing(t *testing.T) {
	l := newLedger(t)
	for range 3 {
		_, _, err := l.place(t.Context(), "a", errCrash)
		require.ErrorIs(t, err, errCrash)
		require.Zero(t, l.orders(t))
	}
	n, info, err := l.place(t.Context(), "a", nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Equal(t, 1, info.Attempt)
	require.False(t, info.Recovered)
	n, info, err = l.place(t.Context(), "a", nil)
	require.NoError(t, err)
	require.True(t, info.Replayed)
	require.EqualValues(t, 1, n)
	require.Equal(t, 1, l.orders(t))
}

func TestOnceInACrowd(t *testing.T) {
	l := newLedger(t)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			n, _, err := l.place(t.Context(), "a", nil)
			if err != nil || n != 1 {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, l.orders(t))
}

// The outcome is committed with the effect, before the call returns; what is committed is replayed even if the call then fails.
func TestAnExecutionMayFinishInATransaction(t *testing.T) {
	l := newLedger(t)
	call := func(ctx context.Context) (string, error) {
		e, _ := idempotency.FromContext(ctx)
		err := l.db.Update(func(tx *bbolt.Tx) error { return idempotency.Finish(ctx, e, l.s.In(tx), "placed") })
		return "placed", errors.Join(err, errCrash)
	}
	_, _, err := idempotency.Do(t.Context(), l.guard, "a", "", call)
	require.ErrorIs(t, err, errCrash)
	v, info, err := idempotency.Do(t.Context(), l.guard, "a", "", call)
	require.NoError(t, err)
	require.True(t, info.Replayed)
	require.Equal(t, "placed", v)
}
