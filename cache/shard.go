package cache

import (
	"sync"
	"sync/atomic"
)

// A node is an entry. Its key and value never change: another value is another node.
type node[K comparable, V any] struct {
	life
	next       atomic.Pointer[node[K, V]] // in the chain; changed with the shard's lock held
	prev, succ *node[K, V]                // in the queue; guarded by the shard's lock
	key        K
	value      V
}

// A use holds how often an entry was asked for lately, up to mostUses, which queue it is in, and 24
// bits of its hash. The first is changed by whoever asks, the rest with the shard's lock held. It stands in the entry's life
// for the sake of the entry's size, which without it would not be 64 bytes and those of its key and value beyond 16.
type use = atomic.Uint32

// The parts of a use.
const (
	mostUses uint32 = 3      // as in S3-FIFO, two bits
	inMain   uint32 = 1 << 2 // it is in the main queue
	hashFrom        = 8
)

func (n *node[K, V]) hash() uint32 { return n.use.Load() >> hashFrom }
func (n *node[K, V]) uses() uint32 { return n.use.Load() & mostUses }

// used counts a use. Most entries that are used much have reached the most that is counted, and are only
// read: cores do not contend for them.
func (n *node[K, V]) used() {
	if u := n.use.Load(); u&mostUses < mostUses {
		n.use.CompareAndSwap(u, u+1) // to miss one does not matter
	}
}

// A shard is a part of a cache by the hash of the keys: a hash table with chains, which is read
// without the lock, and the queues of the eviction. A reader may miss an entry while the table grows, and must look again
// with the lock held before it relies on that.
type shard[K comparable, V any] struct {
	table atomic.Pointer[[]chain[K, V]] // its length is a power of two

	_ [64]byte // what follows is written often; the above is read by everybody

	mu    sync.Mutex
	len   int
	queue eviction[K, V]
	loads map[uint64]*load[K, V] // by hash, those whose value is to be stored
}

type chain[K comparable, V any] struct{ first atomic.Pointer[node[K, V]] }

const firstChains = 8

func (s *shard[K, V]) init(room int) {
	s.queue.room = room
	s.clear()
}

// clear drops all entries, and unlists all loads. It requires mu held, but for a new shard.
func (s *shard[K, V]) clear() {
	table := make([]chain[K, V], firstChains)
	s.table.Store(&table)
	s.len = 0
	s.queue.clear()
	for _, l := range s.loads {
		for ; l != nil; l = l.next {
			l.listed = false
		}
	}
	s.loads = make(map[uint64]*load[K, V])
}

// find returns the entry of a key, or nil.
func (s *shard[K, V]) find(hash uint64, key K) *node[K, V] {
	table := *s.table.Load()
	n := table[hash&uint64(len(table)-1)].first.Load()
	for n != nil && n.key != key {
		n = n.next.Load()
	}
	return n
}

// findLocked is find for who relies on what is not there.
func (s *shard[K, V]) findLocked(hash uint64, key K) *node[K, V] {
	if n := s.find(hash, key); n != nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(hash, key)
}

// link returns the pointer in the table that leads to n, which must be there. It requires mu held.
func (s *shard[K, V]) link(n *node[K, V]) *atomic.Pointer[node[K, V]] {
	table := *s.table.Load()
	p := &table[int(n.hash())&(len(table)-1)].first
	for p.Load() != n {
		p = &p.Load().next
	}
	return p
}

// put adds n, in place of the entry of the same key if there is one, and tells out what had to go for it. It
// requires mu held.
func (s *shard[K, V]) put(c *Cache[K, V], hash uint64, n *node[K, V], now int64, out *evicted[K, V]) {
	n.use.Store(uint32(hash) << hashFrom)
	if old := s.find(hash, n.key); old != nil {
		n.next.Store(old.next.Load())
		s.queue.replace(old, n)
		s.link(old).Store(n)
		return
	}
	known := s.queue.ghosts.take(hash)
	for s.len >= s.queue.room { // before n is there, so that it cannot be n that goes
		victim := s.queue.evict(c, now)
		s.link(victim).Store(victim.next.Load())
		s.len--
		out.add(victim)
	}
	s.grow()
	table := *s.table.Load()
	first := &table[hash&uint64(len(table)-1)].first
	n.next.Store(first.Load())
	first.Store(n)
	s.len++
	s.queue.add(n, known)
}

// remove drops the entry of a key, if there is one. It requires mu held.
func (s *shard[K, V]) remove(hash uint64, key K) {
	n := s.find(hash, key)
	if n == nil {
		return
	}
	s.link(n).Store(n.next.Load())
	s.queue.remove(n)
	s.len--
}

// most is the length of the longest table: a node keeps only 24 bits of its hash.
const most = 1 << 24

// grow doubles the table when there are as many entries as chains. It requires mu held.
func (s *shard[K, V]) grow() {
	old := *s.table.Load()
	if s.len < len(old) || len(old) == most {
		return
	}
	table := make([]chain[K, V], 2*len(old))
	for i := range old {
		for n := old[i].first.Load(); n != nil; {
			next := n.next.Load()
			first := &table[int(n.hash())&(len(table)-1)].first
			n.next.Store(first.Load())
			first.Store(n)
			n = next
		}
	}
	s.table.Store(&table)
}

// list notes a load whose value is to be stored. It requires mu held.
func (s *shard[K, V]) list(l *load[K, V]) {
	l.listed = true
	l.next = s.loads[l.hash]
	s.loads[l.hash] = l
}

// unlist forgets a load, so that its value is not stored. It requires mu held.
func (s *shard[K, V]) unlist(l *load[K, V]) {
	if !l.listed {
		return
	}
	l.listed = false
	if first := s.loads[l.hash]; first != l {
		for first.next != l {
			first = first.next
		}
		first.next = l.next
		return
	}
	if l.next == nil {
		delete(s.loads, l.hash)
	} else {
		s.loads[l.hash] = l.next
	}
}

// loading returns the load of a key, or nil. It requires mu held.
func (s *shard[K, V]) loading(hash uint64, key K) *load[K, V] {
	l := s.loads[hash]
	for l != nil && l.key != key {
		l = l.next
	}
	return l
}

// unlistKey unlists the load of a key, if there is one. It requires mu held.
func (s *shard[K, V]) unlistKey(hash uint64, key K) {
	if l := s.loading(hash, key); l != nil {
		s.unlist(l)
	}
}
