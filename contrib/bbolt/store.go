// Package steadybbolt keeps the keys of package idempotency in a bbolt database: a file that one process has open, and that survives it.
//
//	db, err := bbolt.Open("orders.db", 0o600, nil)
//	store, err := steadybbolt.New(steadybbolt.Config{DB: db})
//	guard, err := idempotency.New(idempotency.Config{Scope: "orders", Store: store, OnUnknown: idempotency.Rerun})
//
// Where the data that a call changes lies in the same file, use [Store.In] and [idempotency.Once], which change both in one transaction: then nothing is
// unknown after a crash, and there is no lease to wait for.
//
// The database must sync its writes: NoSync and NoGrowSync of [bbolt.DB] must be false, as they are by default. What the process has acknowledged then survives
// its death; whether it survives a loss of power is up to the disk.
package steadybbolt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/internal/check"
)

// Config is the configuration of a [Store]. DB is required.
type Config struct {
	// DB is the database. The store does not close it.
	DB *bbolt.DB

	// Bucket is the top-level bucket of the store, which holds nothing else. Empty means "steady idempotency".
	Bucket string
}

const defaultBucket = "steady idempotency"

// A Store is an [idempotency.Store] in a bbolt database. It is made by [New], and may be used by several goroutines at once. Each of its methods is one
// transaction, which is synced to the disk if it changes anything, some milliseconds; bbolt has one of these at a time. A context that ends is seen before a transaction
// begins, and not while it waits for another: the time that a guard gives a store does not bound that wait.
//
// A key that another process had claimed is taken for one whose owner is gone, at once and not when its lease is over: bbolt locks its file, so that
// process has closed it. So close a database only when all calls that are guarded by it have ended. Records past retention go when others come.
type Store struct {
	db     *bbolt.DB
	bucket []byte
	opened time.Time // the times in records are those since 1970, by the monotonic clock since then
}

func (s *Store) now() time.Duration {
	return time.Duration(s.opened.UnixNano()) + time.Since(s.opened)
}

var _ idempotency.Store = (*Store)(nil)

// The buckets within that of the store.
var (
	records = []byte("records") // by key
	ends    = []byte("ends")    // of retention: its time and the key
)

// New returns a store, whose buckets it makes if they are not there, or an error that names every fault of c.
func New(c Config) (*Store, error) {
	f := check.Config("steadybbolt: Config")
	f.Require(c.DB != nil, "DB", "be set", c.DB)
	if err := f.Err(); err != nil {
		return nil, err
	}
	f.Require(!c.DB.IsReadOnly(), "DB", "be open for writing", "one that is read-only")
	f.Require(!c.DB.NoSync && !c.DB.NoGrowSync, "DB", "sync its writes", "NoSync or NoGrowSync")
	if err := f.Err(); err != nil {
		return nil, err
	}
	if c.Bucket == "" {
		c.Bucket = defaultBucket
	}
	s := &Store{db: c.DB, bucket: []byte(c.Bucket), opened: time.Now()}
	err := c.DB.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(s.bucket)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{records, ends} {
			if _, err := b.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("steadybbolt: bucket %q: %w", c.Bucket, err)
	}
	return s, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Store { return check.Must(New(c)) }

// In returns the store within a transaction of the caller's, which must be writable: for [idempotency.Once] and [idempotency.Finish]. It is of use
// until that ends, on the goroutine that uses the transaction. Do nothing else with the store meanwhile on that goroutine: it would wait for itself.
func (s *Store) In(tx *bbolt.Tx) idempotency.Store { return &bound{s: s, tx: tx} }

// Begin implements [idempotency.Store].
func (s *Store) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	err = s.update(ctx, func(b *bound) error {
		g, err = b.Begin(ctx, c)
		return err
	})
	return g, err
}

// Extend implements [idempotency.Store].
func (s *Store) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.update(ctx, func(b *bound) error { return b.Extend(ctx, key, token, lease) })
}

// Finish implements [idempotency.Store].
func (s *Store) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return s.update(ctx, func(b *bound) error { return b.Finish(ctx, key, token, o, keep) })
}

// Release implements [idempotency.Store].
func (s *Store) Release(ctx context.Context, key, token string) error {
	return s.update(ctx, func(b *bound) error { return b.Release(ctx, key, token) })
}

// errUnchanged ends a transaction that has nothing to write, so that nothing is synced.
var errUnchanged = errors.New("unchanged")

func (s *Store) update(ctx context.Context, change func(*bound) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := &bound{s: s, tx: tx}
		if err := change(b); err != nil {
			return err
		}
		if !b.changed {
			return errUnchanged
		}
		return nil
	})
	if err == errUnchanged {
		return nil
	}
	return err
}

// A bound store is one within a transaction.
type bound struct {
	s       *Store
	tx      *bbolt.Tx
	changed bool
}

// mostDropped is how many records one Begin drops that are past retention: more than it may add.
const mostDropped = 16

func (b *bound) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	err = b.change(ctx, c.Key, func(r *idempotency.Record, now time.Duration) (bool, error) {
		g = r.Begin(now, c)
		return g.Status == idempotency.Acquired, nil
	})
	if err == nil && b.changed {
		err = b.dropExpired(c.Key)
	}
	return g, err
}

func (b *bound) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return b.change(ctx, key, func(r *idempotency.Record, now time.Duration) (bool, error) {
		return true, r.Extend(now, token, lease)
	})
}

func (b *bound) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return b.change(ctx, key, func(r *idempotency.Record, now time.Duration) (bool, error) {
		return true, r.Finish(now, token, o, keep)
	})
}

func (b *bound) Release(ctx context.Context, key, token string) error {
	return b.change(ctx, key, func(r *idempotency.Record, now time.Duration) (bool, error) {
		return true, r.Release(now, token)
	})
}

// change reads the record of a key, has it changed, and writes it if it was.
func (b *bound) change(ctx context.Context, key string, change func(*idempotency.Record, time.Duration) (changed bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	top := b.tx.Bucket(b.s.bucket)
	if top == nil {
		return fmt.Errorf("steadybbolt: bucket %q is gone", b.s.bucket)
	}
	all, byEnd := top.Bucket(records), top.Bucket(ends)
	now := b.s.now()
	var r idempotency.Record
	before := all.Get([]byte(key))
	if before != nil {
		claimant, err := decode(before, &r)
		if err != nil {
			return fmt.Errorf("steadybbolt: record of key %s: %w", key, err)
		}
		if claimant != process {
			r.LeaseUntil = min(r.LeaseUntil, now)
		}
	}
	was := r.KeepUntil
	changed, err := change(&r, now)
	if err != nil || !changed {
		return err
	}
	b.changed = true
	if before != nil {
		if err := byEnd.Delete(endOf(was, key)); err != nil {
			return err
		}
	}
	if err := byEnd.Put(endOf(r.KeepUntil, key), nil); err != nil {
		return err
	}
	return all.Put([]byte(key), encode(&r))
}

// dropExpired drops records past retention, but for that of key.
func (b *bound) dropExpired(key string) error {
	top := b.tx.Bucket(b.s.bucket)
	all, byEnd := top.Bucket(records), top.Bucket(ends)
	now := endOf(b.s.now(), "")
	var expired [][]byte
	cursor := byEnd.Cursor()
	for end, _ := cursor.First(); end != nil && len(expired) < mostDropped; end, _ = cursor.Next() {
		if string(end) >= string(now) {
			break
		}
		if string(end[8:]) != key {
			expired = append(expired, append([]byte(nil), end...))
		}
	}
	for _, end := range expired {
		if err := byEnd.Delete(end); err != nil {
			return err
		}
		if err := all.Delete(end[8:]); err != nil {
			return err
		}
	}
	return nil
}

// endOf returns the key in ends, in the order of time.
func endOf(t time.Duration, key string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(t, 0))), key...)
}

// process tells this process from those that had the database open before.
var process = func() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}()
