// Faults that were put in to see these tests fail:
//
// Planted: eviction.go: n.uses() < 1, or the small queue keeps one, or no ghost is taken up → another key goes than the model's
// Planted: eviction.go: what has expired leaves a ghost, or gets another round → another key goes
// Planted: eviction.go: uses are not taken back on the way to the main queue, or all at once in it → "used 2 times", want 0
// Planted: eviction.go: replace forgets the uses, or the queue → the queues differ
// Planted: eviction.go: a ghost is known one longer, or not forgotten once asked for, or the youngest of its set goes → the queues differ
// Planted: eviction.go: clear keeps the ghosts; shard.go: clear keeps the table's length → TestWhatHasGoneIsNotKeptInMemory
// Planted: eviction.go: what is removed or replaced keeps prev and succ → the same, 2 values are kept, want 1
// Planted: shard.go: grow does not set next anew; remove or put does not take out of the chain → fewer or more in chains than in queues
// Planted: shard.go: len > room; remove does not lower len; grow never, or at twice as many → whole
// Planted: shard.go: find does not compare keys; put publishes a node before it has its next → a wrong value; an endless chain
// Planted: cache.go, get.go: Peek, look or instead takes find in place of findLocked → no value (instead: the context's error)
// Planted: cache.go: InvalidateAll or Close clears one shard after the other → none is in the first, want 120 or so
// Planted: eviction.go: no bound for reprieves → 30,000 uses are taken away, or all of a shard's
// Planted: cache.go: what is left of MaxEntries goes to no shard → MaxEntries is 8,192, want 8,200

package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAShardFollowsItsModel drives one shard and a model of it, two plain lists, through the same random sequence. After each
// action the queues must hold the same entries in the same order with the same uses, and the same must have gone for others.
func TestAShardFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.SampledFrom([]int{1, 2, 3, 9, 10, 19, 20, 40, 100}).Draw(t, "room")
		m := &shardModel{
			c:     MustNew[int, int](Config{MaxEntries: room, Fresh: lifetime, NegativeFor: lifetime / 2, LoadTimeout: 1, RefreshAhead: NoRefreshAhead, Jitter: NoJitter}),
			lists: lists{room: room},
		}
		m.s = &m.c.shards[0]
		keys := rapid.IntRange(0, 3*room+2)
		put := func(t *rapid.T) { m.put(t, keys.Draw(t, "key"), false) }
		use := func(t *rapid.T) { m.use(keys.Draw(t, "key")) }
		actions := map[string]func(*rapid.T){
			"":      m.check,
			"put 1": put, "put 2": put, "put 3": put, // what is numbered is to come more often
			"use 1": use, "use 2": use, "use 3": use,
			"use what comes next": func(*rapid.T) {
				if all := append(slices.Clone(m.small), m.main...); len(all) > 0 {
					m.use(all[0].key)
					m.use(all[0].key)
				}
			},
			"put several": func(t *rapid.T) {
				first := keys.Draw(t, "first")
				for key := range rapid.IntRange(1, room+1).Draw(t, "n") {
					m.put(t, first+key, false)
				}
			},
			"use several": func(t *rapid.T) {
				first := keys.Draw(t, "first")
				for key := range rapid.IntRange(1, room+1).Draw(t, "n") {
					m.use(first + key)
				}
			},
			"put nothing": func(t *rapid.T) { m.put(t, keys.Draw(t, "key"), true) },
			"put back": func(t *rapid.T) { // one that has just gone
				if len(m.gone) > 0 {
					m.put(t, m.gone[len(m.gone)-1-rapid.IntRange(0, min(len(m.gone)-1, room+1)).Draw(t, "ago")], false)
				}
			},
			"remove": func(t *rapid.T) { m.remove(keys.Draw(t, "key")) },
			"clear":  func(t *rapid.T) { m.clear(rapid.IntRange(0, 9).Draw(t, "really") == 0) },
			"sleep":  func(t *rapid.T) { m.now += rapid.Int64Range(0, lifetime/2).Draw(t, "for") },
			"sleep to an end": func(t *rapid.T) { // or to just before it
				if all := append(slices.Clone(m.small), m.main...); len(all) > 0 {
					m.now = max(m.now, rapid.SampledFrom(all).Draw(t, "of").until-rapid.Int64Range(0, 1).Draw(t, "before"))
				}
			},
		}
		for range 4 { // about 120 actions
			t.Repeat(actions)
		}
	})
}

const lifetime = 1000 // of an entry, without stale windows

type shardModel struct {
	c   *Cache[int, int]
	s   *shard[int, int]
	now int64
	lists
	gone []int // keys that had to go for others
}

// lists are what an eviction is to do, as its paper says.
type lists struct {
	room        int
	small, main []*item // the oldest first
	ghosts      map[uint64][]haunt
	haunts      int
}

type item struct {
	key, uses int
	until     int64
}

// A haunt is what is remembered of a key that went.
type haunt struct {
	key int
	at  int
}

func (l *lists) find(key int) *item {
	for _, e := range append(slices.Clone(l.small), l.main...) {
		if e.key == key {
			return e
		}
	}
	return nil
}

// set is where a key is remembered, beside three others.
func (m *shardModel) set(key int) uint64 {
	n := uint64(1)
	for 4*n < uint64(m.room) {
		n *= 2
	}
	return m.c.hash(key) % n
}

func (m *shardModel) remember(key int) {
	set := m.set(key)
	m.haunts++
	m.ghosts[set] = append(m.ghosts[set], haunt{key, m.haunts})
	if known := m.ghosts[set]; len(known) > 4 {
		m.ghosts[set] = known[1:]
	}
}

func (m *shardModel) recall(key int) (known bool) {
	set := m.set(key)
	m.ghosts[set] = slices.DeleteFunc(m.ghosts[set], func(h haunt) bool {
		if h.key == key {
			known = m.haunts-h.at < m.room
		}
		return h.key == key
	})
	return known
}

// evict returns the key that is to go.
func (m *shardModel) evict() int {
	for {
		if len(m.small) > m.room/10 || len(m.main) == 0 {
			e := m.small[0]
			m.small = m.small[1:]
			switch {
			case e.until <= m.now:
				return e.key
			case e.uses <= 1:
				m.remember(e.key)
				return e.key
			}
			e.uses = 0
			m.main = append(m.main, e)
			continue
		}
		e := m.main[0]
		m.main = m.main[1:]
		if e.uses == 0 || e.until <= m.now {
			return e.key
		}
		e.uses--
		m.main = append(m.main, e)
	}
}

func (m *shardModel) put(t *rapid.T, key int, negative bool) {
	if m.ghosts == nil {
		m.ghosts = map[uint64][]haunt{}
	}
	until := m.now + lifetime
	n := &node[int, int]{key: key, value: key}
	if negative {
		until = m.now + lifetime/2
		m.c.windows.beginNegative(&n.life, m.now, 0, ErrNotFound)
	} else {
		m.c.windows.begin(&n.life, m.now, 0)
	}
	var out evicted[int, int]
	m.s.mu.Lock()
	m.s.put(m.c, m.c.hash(key), n, m.now, &out)
	m.s.mu.Unlock()

	var want, got []int
	if e := m.find(key); e != nil {
		e.until = until
	} else {
		known := m.recall(key)
		if len(m.small)+len(m.main) == m.room {
			want = append(want, m.evict())
		}
		e := &item{key: key, until: until}
		if known {
			m.main = append(m.main, e)
		} else {
			m.small = append(m.small, e)
		}
	}
	for _, n := range out.nodes {
		got = append(got, n.key)
	}
	require.Equal(t, want, got, "what had to go for %d", key)
	m.gone = append(m.gone, got...)
}

func (m *shardModel) use(key int) {
	if e := m.find(key); e != nil {
		e.uses = min(e.uses+1, 3)
	}
	if n := m.s.find(m.c.hash(key), key); n != nil {
		n.used()
	}
}

func (m *shardModel) remove(key int) {
	is := func(e *item) bool { return e.key == key }
	m.small, m.main = slices.DeleteFunc(m.small, is), slices.DeleteFunc(m.main, is)
	m.c.Invalidate(key)
}

func (m *shardModel) clear(really bool) {
	if really {
		m.lists, m.gone = lists{room: m.room}, nil
		m.c.InvalidateAll()
	}
}

func (m *shardModel) check(t *rapid.T) {
	tell := func(items []*item) (s []string) {
		for _, e := range items {
			s = append(s, fmt.Sprintf("%d used %d times", e.key, e.uses))
		}
		return s
	}
	look := func(q *fifo[int, int]) (s []string) {
		for n := q.first; n != nil; n = n.succ {
			s = append(s, fmt.Sprintf("%d used %d times", n.key, n.uses()))
		}
		return s
	}
	require.Equal(t, tell(m.small), look(&m.s.queue.small), "small queue")
	require.Equal(t, tell(m.main), look(&m.s.queue.main), "main queue")
	whole(t, m.c)
}

// whole checks that nothing of a cache contradicts itself. It must be called while nobody writes.
func whole[K comparable, V any](t require.TestingT, c *Cache[K, V]) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		defer s.mu.Unlock()
		require.LessOrEqual(t, s.len, s.queue.room)
		require.Equal(t, s.len, s.queue.small.len+s.queue.main.len)
		queued := 0
		for _, q := range []*fifo[K, V]{&s.queue.small, &s.queue.main} {
			var last *node[K, V]
			for n := q.first; n != nil; last, n = n, n.succ {
				require.Same(t, q, s.queue.of(n))
				require.True(t, n.prev == last)
				require.Same(t, n, s.find(c.hash(n.key), n.key), "what is queued is in the table")
				queued++
			}
			require.True(t, q.last == last)
		}
		require.Equal(t, s.len, queued)
		table, chained := *s.table.Load(), 0
		for at := range table {
			for n := table[at].first.Load(); n != nil; n = n.next.Load() {
				chained++
			}
		}
		require.Equal(t, s.len, chained)
		require.LessOrEqual(t, s.len, len(table), "chains are short")
		require.Zero(t, len(table)&(len(table)-1))
		require.LessOrEqual(t, 4*len(s.queue.ghosts.sets), max(2*s.queue.room, 4), "ghosts")
	}
}

func TestTheRoomOfAllShardsIsMaxEntries(t *testing.T) {
	for _, entries := range []int{1, 2, 511, 512, 1023, 1024, 1025, 4095, 4097, 8191, 8192, 8200, 100_003} {
		c := MustNew[int, int](Config{MaxEntries: entries, Fresh: 1, LoadTimeout: 1})
		require.Equal(t, entries, c.Stats().MaxEntries)
		for i := range c.shards {
			require.Positive(t, c.shards[i].queue.room)
			require.InDelta(t, entries/len(c.shards), c.shards[i].queue.room, 1)
		}
	}
}

// Keys that fall into one shard may be more than it has room for, while others have room to spare.
func TestNoShardHoldsMoreThanItsRoomAtAnyMoment(t *testing.T) {
	const entries = 4_096
	c := MustNew[int, int](Config{MaxEntries: entries, Fresh: time.Hour, LoadTimeout: time.Hour})
	require.Greater(t, len(c.shards), 1)
	var done atomic.Bool
	var writers, watcher sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := range 8_000 {
				key := n*4 + w
				if n%3 == 0 {
					c.Invalidate(key - 4*rand.IntN(2_000))
				}
				c.Set(key, key)
			}
		})
	}
	watcher.Go(func() {
		for !done.Load() {
			for i := range c.shards {
				s := &c.shards[i]
				s.mu.Lock()
				if s.len > s.queue.room {
					t.Errorf("%d entries in a shard with room for %d", s.len, s.queue.room)
				}
				s.mu.Unlock()
			}
			if n := c.Len(); n > entries {
				t.Errorf("%d entries of %d", n, entries)
			}
			runtime.Gosched()
		}
	})
	writers.Wait()
	done.Store(true)
	watcher.Wait()
	whole(t, c)
}

// Readers go along chains that are being torn apart for a table of twice the length. They must come to an end, find no other
// key's entry, and with the lock held find all.
func TestReadersAreSafeWhileTheTableGrows(t *testing.T) {
	for range 3 {
		const keys = 10_000
		c := MustNew[int, int](Config{MaxEntries: 4 * keys, Fresh: time.Hour, LoadTimeout: time.Hour})
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for key := int(next.Add(1)); key <= keys; key = int(next.Add(1)) {
					c.Set(key, key)
					if key%5 == 0 {
						c.Set(key/2, key/2) // in the place of another
						c.Invalidate(key)
						c.Set(key, key)
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for until := int(next.Load()); until < keys; until = int(next.Load()) {
					key := 1 + rand.IntN(until+1)
					hash := c.hash(key)
					if n := c.shard(hash).find(hash, key); n != nil && n.value != key {
						t.Errorf("%d has the value of %d", key, n.value)
					}
				}
			})
		}
		wg.Wait()
		require.Equal(t, keys, c.Len())
		for key := range keys {
			v, _, ok := c.Peek(key + 1)
			require.True(t, ok, key)
			require.Equal(t, key+1, v)
		}
		whole(t, c)
	}
}

// While one shard is busy, InvalidateAll and Close have dropped nothing of the others as yet: they drop all at one moment.
func TestAllShardsAreClearedAtOneMoment(t *testing.T) {
	for name, drop := range map[string]func(*Cache[int, int]){"InvalidateAll": (*Cache[int, int]).InvalidateAll, "Close": (*Cache[int, int]).Close} {
		t.Run(name, func(t *testing.T) {
			c := MustNew[int, int](Config{MaxEntries: 10_000, Fresh: time.Hour, LoadTimeout: time.Hour})
			for key := range 1_000 {
				c.Set(key, key)
			}
			first, busy := &c.shards[0], &c.shards[len(c.shards)-1]
			require.NotSame(t, first, busy)
			entries := first.len
			require.Positive(t, entries)

			busy.mu.Lock()
			var dropped sync.WaitGroup
			dropped.Go(func() { drop(c) })
			for first.mu.TryLock() { // until it waits for the last
				n := first.len
				first.mu.Unlock()
				if n == 0 {
					break
				}
				runtime.Gosched()
			}
			for range 1_000 {
				runtime.Gosched()
			}
			here := 0
			for key := range 1_000 {
				if hash := c.hash(key); c.shard(hash) == first && first.find(hash, key) != nil {
					here++
				}
			}
			busy.mu.Unlock()
			dropped.Wait()
			require.Equal(t, entries, here)
			require.Zero(t, c.Len())
		})
	}
}

// A reader that finds nothing while the table grows looks again with the lock held, whatever it wants.
func TestWhoMissesAnEntryWhileTheTableGrowsLooksAgain(t *testing.T) {
	for _, fresh := range []time.Duration{1, time.Hour} {
		c := MustNew[int, int](Config{MaxEntries: 10, Fresh: fresh, StaleIfError: time.Hour, LoadTimeout: time.Hour})
		c.Set(1, 1)
		s := &c.shards[0]
		grow := func() { // the whole table is on its way
			s.mu.Lock()
			empty := make([]chain[int, int], firstChains)
			table := s.table.Swap(&empty)
			go func() {
				for range 1_000 {
					runtime.Gosched()
				}
				s.table.Store(table)
				s.mu.Unlock()
			}()
		}
		for range 10 {
			grow()
			_, _, ok := c.Peek(1)
			require.True(t, ok)
			for _, ctx := range []*late{{t.Context(), context.DeadlineExceeded, grow}, {t.Context(), context.Canceled, nil}} {
				if fresh == 1 && ctx.err == context.Canceled {
					continue // that gets no stale value
				}
				grow()
				v, _, err := c.Get(ctx, 1, nil)
				require.NoError(t, err, "what is there is returned whatever the context says")
				require.Equal(t, 1, v)
			}
		}
	}
}

// A late context is done, and does something when it is asked for that.
type late struct {
	context.Context
	err       error
	whenAsked func()
}

func (l *late) Err() error {
	if l.whenAsked != nil {
		l.whenAsked()
	}
	return l.err
}

// However an entry goes, nothing of the cache leads to it afterwards.
func TestWhatHasGoneIsNotKeptInMemory(t *testing.T) {
	const room = 1_000
	c := MustNew[int, *[1024]byte](Config{MaxEntries: room, Fresh: time.Hour, LoadTimeout: time.Hour})
	set := func(key int) weak.Pointer[[1024]byte] {
		v := new([1024]byte)
		c.Set(key, v)
		return weak.Make(v)
	}
	kept := func(values []weak.Pointer[[1024]byte]) (n int) {
		runtime.GC()
		for _, v := range values {
			if v.Value() != nil {
				n++
			}
		}
		return n
	}
	var values []weak.Pointer[[1024]byte]
	for key := range 3 * room {
		values = append(values, set(key))
	}
	require.Equal(t, room, kept(values), "those beyond the room had to go")
	require.Equal(t, room, c.Len())

	c.InvalidateAll()
	require.Zero(t, kept(values))
	for i := range c.shards {
		require.Len(t, *c.shards[i].table.Load(), firstChains)
		require.Nil(t, c.shards[i].queue.ghosts.sets)
	}

	values = nil
	for key := range room {
		values = append(values, set(key))
	}
	for key := 0; key < room; key += 2 {
		c.Invalidate(key)
	}
	require.Equal(t, room/2, kept(values))
	for key := 1; key < room; key += 2 {
		set(key)
	}
	require.Zero(t, kept(values), "another value has taken the place of the rest")
	require.Equal(t, room/2, c.Len())

	// Who waits for a load still has what was there before. It does not lead to those that were beside it in the queue.
	c.InvalidateAll()
	var keys []int // each in a chain of its own, which may lead on to older entries
	for key, seen := 0, map[uint64]bool{}; len(keys) < 3; key++ {
		if chain := c.hash(key) % firstChains; !seen[chain] {
			seen[chain] = true
			keys = append(keys, key)
		}
	}
	hold := func() *node[int, *[1024]byte] {
		values = nil
		for _, key := range keys {
			values = append(values, set(key))
		}
		return c.shard(c.hash(keys[1])).find(c.hash(keys[1]), keys[1])
	}
	removed := hold()
	c.Invalidate(keys[1], keys[0], keys[2])
	require.Equal(t, 1, kept(values))
	replaced := hold()
	set(keys[1])
	c.Invalidate(keys[0], keys[2])
	require.Equal(t, 1, kept(values))
	runtime.KeepAlive(removed)
	runtime.KeepAlive(replaced)

	c.Close()
	require.Zero(t, c.Len())
	runtime.KeepAlive(c)
}

// After everything was used, the first entry that comes finds nothing that may go. It does not go through all there is.
func TestWhoComesFirstAfterAllWereUsedDoesNotSearchAll(t *testing.T) {
	const room = 10_000
	for name, inMain := range map[string]bool{"small queue": false, "main queue": true} {
		t.Run(name, func(t *testing.T) {
			c := MustNew[int, int](Config{MaxEntries: room, Fresh: time.Hour, LoadTimeout: 1})
			for key := range 2 * room {
				c.Set(key, key)
			}
			require.Equal(t, room, c.Len())
			all := 0
			for i := range c.shards {
				q := &c.shards[i].queue
				for inMain && q.small.len > 0 {
					q.toMain(q.small.pop())
				}
				for _, queue := range []*fifo[int, int]{&q.small, &q.main} {
					for n := queue.first; n != nil; n = n.succ {
						n.use.Or(mostUses)
						all += int(mostUses)
					}
				}
			}
			c.Set(-1, -1)
			left := 0
			for i := range c.shards {
				q := &c.shards[i].queue
				for _, queue := range []*fifo[int, int]{&q.small, &q.main} {
					for n := queue.first; n != nil; n = n.succ {
						left += int(n.uses())
					}
				}
			}
			require.Equal(t, room, c.Len())
			require.LessOrEqual(t, all-left, (mostReprieves+1)*int(mostUses), "uses taken away")
			_, _, ok := c.Peek(-1)
			require.True(t, ok)
		})
	}
}

func TestGhostsAreBounded(t *testing.T) {
	c := MustNew[int, int](Config{MaxEntries: 500, Fresh: time.Hour, LoadTimeout: time.Hour})
	for key := range 20_000 {
		c.Set(key, key)
	}
	require.Len(t, c.shards[0].queue.ghosts.sets, 128)
	whole(t, c)
}

// A key that went for want of room, and comes back soon, starts where the others do not push it out.
func TestAGhostIsKnownUntilRoomOthersHaveGone(t *testing.T) {
	g := ghosts{room: 100}
	known := 0
	for round := range uint64(1_000) {
		hash := rand.Uint64()
		g.add(hash)
		for range round % 99 {
			g.add(rand.Uint64())
		}
		if g.take(hash) {
			known++
		}
		require.False(t, g.take(hash), "it is forgotten once it was asked for")
		g.add(hash)
		for range 100 {
			g.add(rand.Uint64())
		}
		require.False(t, g.take(hash))
	}
	require.Greater(t, known, 800, "some are lost since their set was full")
}
