package steadyredis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/steady-go/steady"
)

var (
	// ErrMayBeStale is matched by the error of [Tier.Invalidate] and [Tier.Write] when Redis could not be told of
	// a write: it may hold the old value until that has stayed for Fresh. Invalidate may be repeated.
	ErrMayBeStale = errors.New("steadyredis: old values may remain")

	// ErrTooLarge is matched by what OnError hears of a value that is larger than MaxBytes.
	ErrTooLarge = errors.New("steadyredis: value too large")
)

// batch is how many keys are dropped at once, within one Timeout.
const batch = 500

// Invalidate drops what Redis has for keys, and the leases of loads under way, so that what these bring is not stored. Call it
// after what the keys stand for was changed, and [cache.Cache.Invalidate] after it.
//
// It does so too when ctx has ended, since the write is done; it takes no longer than Timeout for each 500 keys. Its
// error matches [ErrMayBeStale]. Then repeat it, which is harmless, or bear with old values for Fresh at most.
func (t *Tier[V]) Invalidate(ctx context.Context, keys ...string) error {
	ctx = context.WithoutCancel(ctx)
	done := 0
	for some := range slices.Chunk(keys, batch) {
		n, err := t.drop(ctx, some)
		if done += n; err != nil {
			return fmt.Errorf("%w: %s: %d of %d keys were not dropped: %w", ErrMayBeStale, t.called(), len(keys)-done, len(keys), err)
		}
	}
	return nil
}

// drop drops what there is for keys, and returns for how many of them.
func (t *Tier[V]) drop(ctx context.Context, keys []string) (dropped int, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	commands, err := t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Del(ctx, t.prefix+key)
		}
		return nil
	})
	for _, c := range commands {
		if c.Err() == nil {
			dropped++
		} else {
			err = cmp.Or(err, c.Err())
		}
	}
	if err != nil && len(commands) != len(keys) {
		dropped = 0
	}
	return dropped, err
}

// Write changes what key stands for by write, which returns the new value, and stores that. It is
// safer than a write and an Invalidate after it:
//
//   - The old value is dropped before write is called. If the process dies between the two, or Redis fails after
//     the write, there is no old value left.
//   - Until write has returned no load may store what it brings, for as long as Lease.
//   - Writes of a key that overlap leave no value, since nobody knows whose is the present one: the next Get loads it. The
//     same holds for a Write and an Invalidate that falls into it.
//
// If write fails, its error is returned untouched. It may have had its effect all the same, so there is no value then. A panic of write, and a
// [runtime.Goexit], goes on. For what is to be deleted, call Invalidate.
//
// If Redis fails before the write, that is made all the same. If Redis fails after it, Write returns the new value and, with
// it, an error that matches [ErrMayBeStale]. If ctx is done already, nothing is written, and the error is that of [steady.ContextErr].
func (t *Tier[V]) Write(ctx context.Context, key string, write func(context.Context) (V, error)) (v V, err error) {
	if err := steady.ContextErr(ctx); err != nil {
		return v, err
	}
	after := context.WithoutCancel(ctx)
	token := newToken()
	if _, err := t.run(after, take, key, token, milliseconds(t.lease)); err != nil {
		t.tell(ctx, key, "taking the lease", err)
		token = ""
	}
	written := false
	defer func() {
		if !written {
			t.undo(after, key)
		}
	}()
	if v, err = write(ctx); err != nil {
		var none V
		return none, err
	}
	e := entry{}
	if token != "" {
		e = t.entry(ctx, key, v, nil)
	}
	written = true
	if err := t.finish(after, key, token, e); err != nil {
		return v, fmt.Errorf("%w: %w", ErrMayBeStale, t.fault(key, "write", err))
	}
	return v, nil
}

// undo drops what there is for a key whose write did not succeed.
func (t *Tier[V]) undo(ctx context.Context, key string) {
	if _, err := t.drop(ctx, []string{key}); err != nil {
		t.tell(ctx, key, "dropping", err)
	}
}

// finish stores the entry of a write in the place of its lease, and otherwise sees to it that there is none.
func (t *Tier[V]) finish(ctx context.Context, key, token string, e entry) error {
	if e.kind != kindValue {
		_, err := t.drop(ctx, []string{key})
		return err
	}
	r, err := t.run(ctx, fill, key, token, e.kind, e.value, milliseconds(e.stays), orDrop)
	if err == nil && isGone(r) {
		t.counts.unstored.Add(1)
	}
	return err
}
