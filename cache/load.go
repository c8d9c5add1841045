package cache

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/deadline"
)

// A load is what a flight is to bring for one key.
type load[K comparable, V any] struct {
	of     *flight[K, V]
	hash   uint64
	key    K
	next   *load[K, V] // in the shard's list
	listed bool        // its value is to be stored; guarded by the shard's lock

	// What it has brought; set before the flight is done.
	result[V]
}

// A result is what a func that loads returned for one key.
type result[V any] struct {
	value V
	err   error
}

// A flight is one call of a func that loads, on a goroutine of its own.
type flight[K comparable, V any] struct {
	loads  []*load[K, V]
	reason string
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the loads have what they get

	// These are guarded by the lock of the cache's flights.
	settled bool // somebody decides, or has decided, what the loads get
	landed  bool // the func has returned
	left    bool // it was left running
}

// Why there is a load.
const (
	forMiss  = "miss"          // somebody waits for it
	forStale = "refresh"       // a stale entry was asked for
	forAhead = "refresh ahead" // one that will soon be stale
)

// grace is how long after the end of its context a load may still return without being left: enough
// for one that obeys its context.
const grace = 5 * time.Millisecond

// add makes the load of one more key, and lists it. It requires the lock of the key's shard held.
func (f *flight[K, V]) add(s *shard[K, V], hash uint64, key K) *load[K, V] {
	l := &load[K, V]{of: f, hash: hash, key: key}
	f.loads = append(f.loads, l)
	s.list(l)
	return l
}

// bringOne returns what a flight of one load brings, by calling it.
func bringOne[V any](load func(context.Context) (V, error)) func(context.Context) []result[V] {
	return func(ctx context.Context) []result[V] {
		v, err := load(ctx)
		return []result[V]{{v, err}}
	}
}

// fly calls bring, which returns a result for each of the flight's loads, on a goroutine of its own.
func (c *Cache[K, V]) fly(f *flight[K, V], bring func(context.Context) []result[V]) {
	c.counts.loads.Add(uint64(len(f.loads)))
	go func() {
		defer c.flights.end(f)
		ctx, stop := context.WithTimeoutCause(f.ctx, c.loadTimeout, ErrLoadTimeout)
		defer f.cancel(nil)
		defer stop()
		defer time.AfterFunc(min(c.loadTimeout, math.MaxInt64-grace)+grace, func() { c.leave(ctx, f) }).Stop()

		if f.ctx.Err() != nil { // the cache was closed meanwhile
			c.flights.land(f)
			return
		}
		var results []result[V]
		start := c.now()
		defer func() {
			if results == nil {
				results = f.all(unwound(recover()))
			}
			c.land(ctx, f, results, start)
		}()
		c.report.Emit(ctx, steady.Event{Kind: steady.KindLoad, Reason: f.reason})
		results = bring(ctx)
	}()
}

// all returns results that all have the same error.
func (f *flight[K, V]) all(err error) []result[V] {
	results := make([]result[V], len(f.loads))
	for i := range results {
		results[i].err = err
	}
	return results
}

// unwound returns the error of a func that has panicked with v, or ended its goroutine if v is nil. It must
// be called while the stack is still that of the func.
func unwound(v any) error { return &steady.PanicError{Value: v, Stack: debug.Stack()} }

// land gives the loads what the flight has brought, unless somebody else has settled what they get.
func (c *Cache[K, V]) land(ctx context.Context, f *flight[K, V], results []result[V], start int64) {
	took := time.Duration(c.now() - start)
	first := c.flights.land(f)
	var out evicted[K, V]
	whole := c.settle(ctx, f, results, took, first, &out)
	e := steady.Event{Kind: steady.KindLoaded, Outcome: whole.outcome, Duration: took, Reason: f.reason, Err: whole.err}
	if !first {
		e = steady.Event{Kind: steady.KindLate, Duration: took, Reason: f.reason, Err: whole.err}
	} else if whole.outcome != steady.Success {
		c.counts.failures.Add(1)
	}
	c.report.Emit(ctx, e)
	c.evicted(ctx, out)
}

// settle gives each load its result, if it may, and returns the first failure. Whatever the user's code does
// that is asked, nobody is left waiting.
func (c *Cache[K, V]) settle(ctx context.Context, f *flight[K, V], results []result[V], took time.Duration, may bool, out *evicted[K, V]) finding {
	whole, done := finding{outcome: steady.Success}, 0
	defer func() {
		if !may {
			return
		}
		var none V
		for _, l := range f.loads[done:] { // it has ended the goroutine
			c.store(l, none, finding{err: unwound(nil), final: true}, out)
		}
		close(f.done)
	}()
	for i, l := range f.loads {
		x := c.examine(ctx, results[i].err, uint64(i), took)
		if x.outcome != steady.Success && whole.outcome == steady.Success {
			whole = x
		}
		if may {
			c.store(l, results[i].value, x, out)
		}
		done++
	}
	return whole
}

// A finding is what the result of a load means, and the chance that its entry depends on.
type finding struct {
	err             error
	notFound, final bool // final: StaleIf declines it
	outcome         steady.Outcome
	jitter, backOff float64 // random numbers in [0, 1)
}

// examine does all that calls what is the user's: the error, StaleIf and the context's source of chance. If
// that panics nobody may be harmed but the caller who waits, who will meet it too. The error is that of the
// n-th load of a flight.
func (c *Cache[K, V]) examine(ctx context.Context, err error, n uint64, took time.Duration) (x finding) {
	x = finding{err: err, outcome: steady.Success, jitter: rand.Float64(), backOff: rand.Float64()}
	if err != nil {
		x.final, x.outcome = true, steady.Failure
	}
	defer func() { _ = recover() }()
	if err != nil {
		c.judge(ctx, &x, took)
	}
	x.jitter = steady.Random(ctx, "cache jitter", n)
	x.backOff = steady.Random(ctx, "cache back-off", n)
	return x
}

// judge finds out what the error of a load means.
func (c *Cache[K, V]) judge(ctx context.Context, x *finding, took time.Duration) {
	if isNotFound(x.err) {
		x.notFound, x.outcome = true, steady.Success
		return
	}
	if exceeded(ctx, x.err) {
		x.err = &loadTimeoutError{name: c.name, limit: c.loadTimeout, err: x.err}
	}
	x.final = !c.staleIf(x.err)
	x.outcome = steady.Classifier{}.Outcome(context.Background(), x.err, took)
}

// isNotFound reports whether an error tells that there is nothing. What a load panicked with tells nothing.
func isNotFound(err error) bool {
	_, panicked := errors.AsType[*steady.PanicError](err)
	return !panicked && errors.Is(err, ErrNotFound)
}

// exceeded reports whether the error of a load comes of LoadTimeout, which ends its ctx.
func exceeded(ctx context.Context, err error) bool {
	if !deadline.Is(err) && !errors.Is(err, ErrLoadTimeout) {
		return false
	}
	return context.Cause(ctx) == ErrLoadTimeout || ctx.Err() == nil && deadline.Passed(ctx)
}

// store hands over what a load has brought, and keeps it if it is still to be kept.
func (c *Cache[K, V]) store(l *load[K, V], value V, x finding, out *evicted[K, V]) {
	if l.err = x.err; x.err == nil {
		l.value = value
	}
	s := c.shard(l.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.listed {
		return
	}
	s.unlist(l)
	now := c.now()
	switch {
	case x.err == nil:
		n := &node[K, V]{key: l.key, value: value}
		c.windows.begin(&n.life, now, x.jitter)
		s.put(c, l.hash, n, now, out)
	case x.notFound && c.windows.negative > 0:
		n := &node[K, V]{key: l.key}
		c.windows.beginNegative(&n.life, now, x.jitter, x.err)
		s.put(c, l.hash, n, now, out)
	case x.notFound:
		s.remove(l.hash, l.key)
	default:
		if n := s.find(l.hash, l.key); n != nil {
			c.windows.fail(&n.life, now, x)
		}
	}
}

// leave leaves a flight running whose func has not returned in time.
func (c *Cache[K, V]) leave(ctx context.Context, f *flight[K, V]) {
	left, first := c.flights.leave(f)
	if !left {
		return
	}
	if first {
		c.settle(ctx, f, f.all(context.DeadlineExceeded), c.loadTimeout, true, nil)
		c.counts.failures.Add(1)
	}
	c.report.Emit(ctx, steady.Event{Kind: steady.KindAbandoned, Duration: c.loadTimeout + grace, Reason: f.reason})
}
