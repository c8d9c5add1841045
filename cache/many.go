package cache

import (
	"cmp"
	"context"
	"errors"

	"github.com/steady-go/steady"
)

// An Item is one of the values that [Cache.GetMany] returns.
type Item[V any] struct {
	Value V
	Meta  Meta
}

// GetMany is Get for several keys, of which load gets those that have to be loaded, each once and in the order of keys, in
// one call. A key that another load is under way for is left to that one. Entries that should be loaded in the background are loaded
// together in a second call. A key that GetMany was not asked for is not stored, whatever load returns for it.
//
// What load returns is stored even if it returns an error too, which then is that of the keys it brought no
// value for. Without one these keys do not exist: that is remembered as [NotFound] is, with [ErrNotFound].
//
// GetMany returns the values that there are, and the errors of the keys that have none, each once, joined if they are
// several. A key that does not exist is left out, without an error. Where one key was refused and another was not, the
// rejection is hidden from [errors.As], since something was started (see [steady.Rejection]).
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K, load func(ctx context.Context, keys []K) (map[K]V, error)) (map[K]Item[V], error) {
	start := c.now()
	ended := steady.ContextErr(ctx)
	var missing, stale *flight[K, V]
	requests := c.requests(keys)
	wants := make([]want[K, V], len(requests))
	for i, r := range requests {
		w := &wants[i]
		for w.isOpen() {
			w.look = c.look(r)
			if w.answer, w.atHand, w.due = w.look.atHand(); w.atHand {
				continue
			}
			if w.err = ended; ended == nil {
				var f *flight[K, V]
				w.load, f, w.err = c.join(ctx, w.look, missing)
				missing = cmp.Or(f, missing)
			}
		}
	}
	for i := range wants { // after those that somebody waits for have their place
		if w := &wants[i]; w.due != "" && ended == nil {
			stale = cmp.Or(c.hold(ctx, w.look, w.due, stale), stale)
		}
	}
	for _, f := range []*flight[K, V]{missing, stale} {
		if f != nil {
			c.fly(f, func(ctx context.Context) []result[V] { return f.bring(ctx, load) })
		}
	}

	items := make(map[K]Item[V], len(wants))
	failed := make(map[any]bool) // by what was asked for answers: whether that gave an error
	var failures []error
	for i := range wants {
		w := &wants[i]
		c.finish(ctx, w, ended)
		err := c.told(ctx, w.answer, start)
		if err == nil {
			items[w.look.key] = Item[V]{w.value, w.meta}
		}
		if w.atHand {
			continue
		}
		fails := err != nil && w.meta.Source == None
		if fails && !failed[w.source()] {
			failures = append(failures, err)
		}
		failed[w.source()] = failed[w.source()] || fails
	}
	if len(failed) > 1 {
		hideRejections(failures)
	}
	if len(failures) == 1 {
		return items, failures[0]
	}
	return items, errors.Join(failures...)
}

// hideRejections hides those among errs from [errors.As]: beside them something was started.
func hideRejections(errs []error) {
	for i, err := range errs {
		if _, rejected := steady.AsRejection(err); rejected {
			errs[i] = &partly{err}
		}
	}
}

// partly is the error of a rejection of a part of what was asked for.
type partly struct{ err error }

func (e *partly) Error() string { return e.err.Error() }

// Is shows the rejection to errors.Is alone.
func (e *partly) Is(target error) bool { return errors.Is(e.err, target) }

// A want is one key of a GetMany.
type want[K comparable, V any] struct {
	look look[K, V]
	answer[V]
	atHand bool        // the answer need not be waited for
	due    string      // why the entry should be loaded in the background, if it should
	load   *load[K, V] // that is to bring it
	err    error       // why there is neither
}

func (w *want[K, V]) isOpen() bool { return !w.atHand && w.load == nil && w.err == nil }

// source returns what gave an error, which may be that of several keys.
func (w *want[K, V]) source() any {
	switch {
	case w.left:
		return "context"
	case w.load != nil:
		return w.load.of
	}
	return w.refused
}

// finish waits for the answer.
func (c *Cache[K, V]) finish(ctx context.Context, w *want[K, V], ended error) {
	switch {
	case w.atHand:
	case w.load != nil:
		w.answer = c.await(ctx, w.look, w.load)
	case ended != nil:
		w.answer = c.leaves(ctx, w.look, ended, "context")
	default:
		w.answer = c.refuse(w.look, w.err)
	}
}

// bring calls a load for the keys of the flight.
func (f *flight[K, V]) bring(ctx context.Context, load func(context.Context, []K) (map[K]V, error)) []result[V] {
	keys := make([]K, len(f.loads))
	for i, l := range f.loads {
		keys[i] = l.key
	}
	values, err := load(ctx, keys)
	if err == nil {
		err = ErrNotFound
	}
	results := make([]result[V], len(f.loads))
	for i, l := range f.loads {
		if v, ok := values[l.key]; ok {
			results[i].value = v
		} else {
			results[i].err = err
		}
	}
	return results
}

// requests returns those for keys, each once.
func (c *Cache[K, V]) requests(keys []K) []request[K, V] {
	all := make([]request[K, V], 0, len(keys))
	seen := make(map[K]struct{}, len(keys))
	for _, key := range keys {
		if _, again := seen[key]; again {
			continue
		}
		seen[key] = struct{}{}
		hash := c.hash(key)
		all = append(all, request[K, V]{s: c.shard(hash), hash: hash, key: key})
	}
	return all
}
