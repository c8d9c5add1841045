package cache

// eviction decides which entry goes when a shard is full, by S3-FIFO: Yang, Zhang, Qiu, Yue and
// Rashmi, FIFO queues are all you need for cache eviction, SOSP 2023. An entry starts in a small queue. At its end it goes, unless it was used more
// than once; then it moves to the main queue, at whose end it gets another round for each use. What went from
// the small queue is remembered for a while, and starts in the main queue when it comes back. So
// keys that are asked for once wash nothing out. All methods require the shard's lock held.
type eviction[K comparable, V any] struct {
	room        int // how many entries the shard may hold
	small, main fifo[K, V]
	ghosts      ghosts
}

// smallShare is how many times the small queue fits into the room.
const smallShare = 10

// add takes up an entry that is new in the shard. known says that it was among the ghosts.
func (e *eviction[K, V]) add(n *node[K, V], known bool) {
	if known {
		e.toMain(n)
		return
	}
	e.small.push(n)
}

func (e *eviction[K, V]) toMain(n *node[K, V]) {
	n.use.Or(inMain)
	e.main.push(n)
}

// replace puts n in the place of old.
func (e *eviction[K, V]) replace(old, n *node[K, V]) {
	n.use.Or(old.use.Load() & (inMain | mostUses))
	e.of(old).replace(old, n)
}

// remove takes an entry out.
func (e *eviction[K, V]) remove(n *node[K, V]) { e.of(n).remove(n) }

func (e *eviction[K, V]) of(n *node[K, V]) *fifo[K, V] {
	if n.use.Load()&inMain != 0 {
		return &e.main
	}
	return &e.small
}

// mostReprieves is how many entries may stay that one for which room is made comes by. Without a bound, the first one
// after everything was used would go through the whole shard several times, with its lock held.
const mostReprieves = 512

// evict takes out the entry that is to go.
func (e *eviction[K, V]) evict(c *Cache[K, V], now int64) *node[K, V] {
	for reprieves := 0; ; reprieves++ {
		over := reprieves == mostReprieves
		if e.small.len > e.room/smallShare || e.main.len == 0 {
			n := e.small.pop()
			expired := c.windows.isDead(&n.life, now)
			if expired || over || n.uses() <= 1 {
				if !expired {
					e.ghosts.add(c.hash(n.key))
				}
				return n
			}
			n.use.And(^mostUses)
			e.toMain(n)
			continue
		}
		n := e.main.pop()
		if over || n.uses() == 0 || c.windows.isDead(&n.life, now) {
			return n
		}
		n.use.Add(^uint32(0)) // one use less
		e.main.push(n)
	}
}

func (e *eviction[K, V]) clear() {
	e.small, e.main, e.ghosts = fifo[K, V]{}, fifo[K, V]{}, ghosts{room: uint32(e.room)}
}

// A fifo is a queue of entries. From its last, the newest, prev leads to the older ones.
type fifo[K comparable, V any] struct {
	first, last *node[K, V]
	len         int
}

func (q *fifo[K, V]) push(n *node[K, V]) {
	n.prev, n.succ = q.last, nil
	if q.last == nil {
		q.first = n
	} else {
		q.last.succ = n
	}
	q.last = n
	q.len++
}

func (q *fifo[K, V]) pop() *node[K, V] {
	n := q.first
	q.remove(n)
	return n
}

func (q *fifo[K, V]) remove(n *node[K, V]) {
	q.connect(n.prev, n.succ)
	n.prev, n.succ = nil, nil
	q.len--
}

func (q *fifo[K, V]) replace(old, n *node[K, V]) {
	n.prev, n.succ = old.prev, old.succ
	q.connect(n.prev, n)
	q.connect(n, n.succ)
	old.prev, old.succ = nil, nil
}

// connect makes b follow a. Either may be nil, at an end.
func (q *fifo[K, V]) connect(a, b *node[K, V]) {
	if a == nil {
		q.first = b
	} else {
		a.succ = b
	}
	if b == nil {
		q.last = a
	} else {
		b.prev = a
	}
}

// ghosts remember, by a part of their hash, the keys that went last: one is known until
// room others have followed it, unless its set was full earlier.
type ghosts struct {
	room uint32
	sets [][4]ghost // a power of two, or none as yet
	now  uint32     // how many there have been
}

// A ghost is a key that went. The zero ghost is that of no key.
type ghost struct{ print, at uint32 }

func (g *ghosts) set(hash uint64) (*[4]ghost, uint32) {
	return &g.sets[hash&uint64(len(g.sets)-1)], uint32(hash>>24) | 1
}

// add remembers a key.
func (g *ghosts) add(hash uint64) {
	if g.sets == nil {
		n := uint32(1)
		for 4*n < g.room {
			n *= 2
		}
		g.sets = make([][4]ghost, n)
	}
	g.now++
	set, print := g.set(hash)
	oldest := 0
	for i := range set {
		if set[i].print == 0 {
			oldest = i
			break
		}
		if g.now-set[i].at > g.now-set[oldest].at {
			oldest = i
		}
	}
	set[oldest] = ghost{print, g.now}
}

// take reports whether a key is known, and forgets it.
func (g *ghosts) take(hash uint64) bool {
	if g.sets == nil {
		return false
	}
	set, print := g.set(hash)
	for i := range set {
		if set[i].print == print {
			known := g.now-set[i].at < g.room
			set[i] = ghost{}
			return known
		}
	}
	return false
}
