package cache

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// counts are what a cache counts beside its hits.
type counts struct {
	sources   [Negative + 1]atomic.Uint64 // of Gets that were not answered by a calm entry
	rejected  atomic.Uint64
	loads     atomic.Uint64
	failures  atomic.Uint64
	evictions atomic.Uint64
}

// told counts an answer, reports it, and returns its error. start is when the Get began.
func (c *Cache[K, V]) told(ctx context.Context, a answer[V], start int64) error {
	if a.refused != "" {
		c.counts.rejected.Add(1)
		return c.report.Reject(ctx, a.refused, 0, a.err)
	}
	c.counts.sources[a.meta.Source].Add(1)
	if c.report.On() {
		var waited time.Duration
		if a.meta.Source == Loaded || a.meta.Source == StaleOnError || a.meta.Source == None {
			waited = time.Duration(c.now() - start)
		}
		c.answer(ctx, a.meta, cmp.Or(a.err, a.meta.Err), waited)
	}
	return a.err
}

// answer reports the answer of a Get.
func (c *Cache[K, V]) answer(ctx context.Context, m Meta, err error, waited time.Duration) {
	outcome := steady.Success
	if m.Source == None {
		outcome = steady.Classifier{}.Outcome(ctx, err, waited)
	}
	c.report.Emit(ctx, steady.Event{Kind: steady.KindDone, Outcome: outcome, Duration: waited, Age: m.Age, Reason: m.Source.String(), Err: err})
}

// evicted are entries that had to go for others. A nil one takes none.
type evicted[K comparable, V any] struct{ nodes []*node[K, V] }

func (e *evicted[K, V]) add(n *node[K, V]) { e.nodes = append(e.nodes, n) }

// evicted counts and reports what had to go. It must be called with no lock held.
func (c *Cache[K, V]) evicted(ctx context.Context, out evicted[K, V]) {
	if len(out.nodes) == 0 {
		return
	}
	c.counts.evictions.Add(uint64(len(out.nodes)))
	if !c.report.On() {
		return
	}
	now := c.now()
	for _, n := range out.nodes {
		a := c.windows.assess(&n.life, now)
		reason := "room"
		if a.window == dead {
			reason = "expired"
		}
		c.report.Emit(ctx, steady.Event{Kind: steady.KindEvicted, Reason: reason, Age: a.age})
	}
}

// Inspect implements [steady.Inspector].
func (c *Cache[K, V]) Inspect() []steady.Status {
	places, left := c.flights.now()
	levels := []steady.Level{
		{Name: steady.LevelEntries, Value: float64(c.Len())},
		{Name: steady.LevelMaxEntries, Value: float64(c.maxEntries())},
		{Name: steady.LevelInFlight, Value: float64(places)},
		{Name: steady.LevelAbandoned, Value: float64(left)},
		{Name: steady.LevelTimeLimit, Value: c.loadTimeout.Seconds()},
	}
	if c.flights.max != NoMaxLoads {
		levels = append(levels, steady.Level{Name: steady.LevelLimit, Value: float64(c.flights.max)})
	}
	return []steady.Status{c.report.Status(levels...)}
}

func (c *Cache[K, V]) maxEntries() int {
	n := 0
	for i := range c.shards {
		n += c.shards[i].queue.room
	}
	return n
}

// Stats is what a [Cache] holds at one moment, and what it has done so far.
type Stats struct {
	Entries    int // see [Cache.Len]
	MaxEntries int
	Loading    int // funcs that load and have not returned
	LeftBehind int // of these, those that ignored their context and were left running

	// How many requests for a key were answered so far, by source, and how many were not: because a load failed or the caller
	// left, or because the cache refused.
	Fresh, Loaded, Stale, StaleOnError, Negative, Failed, Rejected uint64

	Loads      uint64 // keys that were to be loaded so far, in the background or not
	LoadErrors uint64 // calls of funcs that load, so far, that failed
	Evictions  uint64 // entries that had to go for others so far
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present counts. It is safe at any time, and takes the lock of each shard for a moment.
func (c *Cache[K, V]) Stats() Stats {
	places, left := c.flights.now()
	by := func(s Source) uint64 { return c.counts.sources[s].Load() }
	s := Stats{
		Entries: c.Len(), MaxEntries: c.maxEntries(), Loading: places, LeftBehind: left,
		Fresh: by(Fresh) + c.hits.sum(), Loaded: by(Loaded), Stale: by(Stale), StaleOnError: by(StaleOnError), Negative: by(Negative),
		Failed: by(None), Rejected: c.counts.rejected.Load(),
		Loads: c.counts.loads.Load(), LoadErrors: c.counts.failures.Load(), Evictions: c.counts.evictions.Load(), HookPanics: c.report.Panics(),
	}
	return s
}
