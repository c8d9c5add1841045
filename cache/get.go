package cache

import (
	"context"
	"errors"
	"time"

	"github.com/steady-go/steady"
)

// Get returns the value of key, from the cache or by load, as the package's table says. Meta tells
// where it comes from. With an error the value is the zero value.
//
// load is called on another goroutine, with the values of ctx but not with its end, and not while another is under way
// for the key, unless that was left running or the key was set or invalidated meanwhile. Its error is returned untouched to all who wait for it, unless a stale value is; it is not remembered but for what
// [NotFound] marks. A load that asks for its own key waits for itself, until LoadTimeout. A panic of load, and a [runtime.Goexit], is a [*steady.PanicError] with its stack.
//
// After a failure, an entry that is stale is not loaded anew for 100 ms, twice that after the next, and so on up to
// Fresh. Then it is loaded in the background: whatever its window, nobody waits to find out what is known, unless the entry
// was not asked for during another Fresh. That is not so after an error that StaleIf declines: who asks then
// waits for a load, and gets its error.
//
// When ctx ends while Get waits, it returns [steady.ContextErr]; if it was a deadline, the stale value if there is one.
// A value that need not be waited for is returned whatever ctx says, but for a ctx that is done nothing is loaded.
// Other errors are rejections that match [ErrOverloaded] and [ErrClosed].
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, Meta, error) {
	hash, now := c.hash(key), c.now()
	s := c.shard(hash)
	if n := s.find(hash, key); n != nil {
		if age, calm := c.windows.calmAge(&n.life, now); calm {
			n.used()
			c.hits.add()
			m := Meta{Source: Fresh, Age: time.Duration(age)}
			if c.report.On() {
				c.answer(ctx, m, nil, 0)
			}
			return n.value, m, nil
		}
	}
	a := c.get(ctx, request[K, V]{s: s, hash: hash, key: key}, load)
	return a.value, a.meta, c.told(ctx, a, now)
}

// A request is that of one key.
type request[K comparable, V any] struct {
	s    *shard[K, V]
	hash uint64
	key  K
}

// A look is what there is for a request.
type look[K comparable, V any] struct {
	request[K, V]
	now  int64
	node *node[K, V] // nil if there is none
	assessment
}

// An answer is what a Get returns.
type answer[V any] struct {
	result[V]
	meta    Meta
	refused string // why no load was begun or waited for; empty if it was none
	left    bool   // the error is that of the caller's context
}

// look returns what there is, and counts it as used.
func (c *Cache[K, V]) look(r request[K, V]) look[K, V] {
	k := look[K, V]{request: r, now: c.now(), node: r.s.findLocked(r.hash, r.key)}
	if k.node != nil {
		k.node.used()
		k.assessment = c.windows.assess(&k.node.life, k.now)
	}
	return k
}

// atHand returns the answer that needs no waiting, if there is one, and why the entry should be loaded in the
// background, if it should.
func (k *look[K, V]) atHand() (a answer[V], ok bool, reason string) {
	switch k.window {
	case fresh:
		return k.as(Fresh, nil), true, ""
	case ahead:
		return k.as(Fresh, nil), true, k.due(forAhead)
	case revalidate:
		if k.isFinal() {
			return a, false, ""
		}
		return k.as(Stale, k.why()), true, k.due(forStale)
	case ifError:
		if k.isFinal() || !k.hasFailed {
			return a, false, ""
		}
		return k.as(StaleOnError, k.why()), true, k.due(forStale)
	case negative:
		a = answer[V]{meta: Meta{Source: Negative, Age: k.age, Err: k.why()}}
		a.err = k.why()
		return a, true, ""
	}
	return a, false, ""
}

// as returns the entry as the answer from a source.
func (k *look[K, V]) as(s Source, why error) answer[V] {
	return answer[V]{result: result[V]{value: k.node.value}, meta: Meta{Source: s, Age: k.age, Err: why}}
}

// due returns reason if a load may begin in the background.
func (k *look[K, V]) due(reason string) string {
	if k.note == nil || k.note.next <= k.now {
		return reason
	}
	return ""
}

// get answers a request whose entry is not calm.
func (c *Cache[K, V]) get(ctx context.Context, r request[K, V], load func(context.Context) (V, error)) answer[V] {
	for {
		k := c.look(r)
		if a, ok, reason := k.atHand(); ok {
			if reason != "" && ctx.Err() == nil {
				if f := c.hold(ctx, k, reason, nil); f != nil {
					c.fly(f, bringOne(load))
				}
			}
			return a
		}
		if err := steady.ContextErr(ctx); err != nil {
			return c.leaves(ctx, k, err, "context")
		}
		l, f, err := c.join(ctx, k, nil)
		if err != nil {
			return c.refuse(k, err)
		}
		if l == nil {
			continue // there is something else now
		}
		if f != nil {
			c.fly(f, bringOne(load))
		}
		return c.await(ctx, k, l)
	}
}

// join returns the load of the key that is looked for: the one under way, or a new one in
// flight f, which it makes if it is nil. It returns the flight too if the load is new. It returns nothing when the look is
// out of date, and a rejection when there may be no load.
func (c *Cache[K, V]) join(ctx context.Context, k look[K, V], f *flight[K, V]) (*load[K, V], *flight[K, V], error) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if c.closed.Load() {
		return nil, nil, c.ended
	}
	if !k.isCurrent() {
		return nil, nil, nil
	}
	if l := k.s.loading(k.hash, k.key); l != nil {
		return l, nil, nil
	}
	if f == nil {
		if f = c.flights.board(ctx, forMiss); f == nil {
			return nil, nil, c.overloaded
		}
	}
	return f.add(k.s, k.hash, k.key), f, nil
}

// isCurrent reports whether there is still what there was. It requires the shard's lock held.
func (k *look[K, V]) isCurrent() bool {
	n := k.s.find(k.hash, k.key)
	return n == k.node && (n == nil || n.note.Load() == k.note)
}

// hold takes an entry into flight f, which it makes if it is nil, to be loaded anew in the background. It
// returns the flight, or nil if that is not to be.
func (c *Cache[K, V]) hold(ctx context.Context, k look[K, V], reason string, f *flight[K, V]) *flight[K, V] {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if c.closed.Load() || !k.isCurrent() || k.s.loading(k.hash, k.key) != nil {
		return nil
	}
	if f == nil {
		if f = c.flights.board(ctx, reason); f == nil {
			k.node.hold(k.now+int64(backOff), c.overloaded)
			return nil
		}
	}
	k.node.hold(running, nil)
	f.add(k.s, k.hash, k.key)
	return f
}

// await waits for a load.
func (c *Cache[K, V]) await(ctx context.Context, k look[K, V], l *load[K, V]) answer[V] {
	select {
	case <-l.of.done:
	case <-ctx.Done():
		select {
		case <-l.of.done:
		default:
			return c.leaves(ctx, k, steady.ContextErr(ctx), "")
		}
	}
	switch {
	case l.err == nil:
		return answer[V]{result: l.result, meta: Meta{Source: Loaded}}
	case isNotFound(l.err):
		return answer[V]{result: l.result, meta: Meta{Source: Loaded}}
	}
	if a, ok := c.instead(k, l.err, c.staleIf); ok {
		return a
	}
	return answer[V]{result: l.result}
}

// leaves is the answer to a caller whose context has ended.
func (c *Cache[K, V]) leaves(ctx context.Context, k look[K, V], err error, refused string) answer[V] {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if a, ok := c.instead(k, err, nil); ok {
			return a
		}
	}
	return answer[V]{result: result[V]{err: err}, refused: refused, left: true}
}

// refuse is the answer when no load can be begun.
func (c *Cache[K, V]) refuse(k look[K, V], err error) answer[V] {
	if err == error(c.ended) {
		return answer[V]{result: result[V]{err: err}, refused: "closed"}
	}
	if a, ok := c.instead(k, err, c.staleIf); ok {
		return a
	}
	return answer[V]{result: result[V]{err: err}, refused: "overloaded"}
}

// instead returns the value that may stand in for a load that has failed with err, or that the caller does
// not wait for: one that was stale when the Get began, or one that somebody has set meanwhile.
func (c *Cache[K, V]) instead(was look[K, V], err error, masks func(error) bool) (a answer[V], ok bool) {
	k := look[K, V]{request: was.request, now: was.now, node: was.s.findLocked(was.hash, was.key)}
	if k.node == nil {
		return a, false
	}
	if k.node != was.node {
		k.now = c.now()
	}
	k.assessment = c.windows.assess(&k.node.life, k.now)
	switch k.window {
	case fresh, ahead:
		return k.as(Fresh, nil), true
	case revalidate, ifError:
		if !k.isFinal() && (masks == nil || masks(err)) {
			k.age = time.Duration(max(c.now()-k.node.at.Load(), 0))
			return k.as(StaleOnError, err), true
		}
	}
	return a, false
}
