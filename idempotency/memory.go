package idempotency

import (
	"container/heap"
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/steady-go/steady/internal/check"
)

// MemoryConfig is the configuration of a [MemoryStore].
type MemoryConfig struct {
	// MaxKeys is how many keys the store remembers at most. 0 means 100,000: at some 350 bytes a key and small outcomes,
	// about 35 MB. It must hold all the keys that come within retention: when it is full, further ones are
	// refused with [ErrFull], since to forget one would be to make its call again.
	MaxKeys int

	// MaxBytes is how many bytes of outcomes the store holds before it refuses further keys. What is under way
	// then may still be stored. 0 means 256 MiB.
	MaxBytes int
}

// A MemoryStore is a [Store] in the memory of one process. It forgets all when that ends, and so guards against callers who
// repeat themselves, not against crashes. It is made by [NewMemoryStore]. Records past retention go when others come, and those that were released when there is no room.
type MemoryStore struct {
	maxKeys, maxBytes int
	started           time.Time // the times are those since 1970, by the monotonic clock since then

	mu    sync.Mutex
	byKey map[string]*entry
	ends  ends      // of the same entries
	free  list.List // those that were released, of which the first goes when there is no room
	bytes int
	fence uint64 // the highest of those that are gone: theirs grow on, however soon their keys come back
}

// ErrFull is the error of a [MemoryStore] that holds as many keys, or bytes, within their retention, as it may.
var ErrFull = errors.New("idempotency: memory store full")

// The defaults of a [MemoryConfig].
const (
	defaultMaxKeys  = 100_000
	defaultMaxBytes = 256 << 20
)

// NewMemoryStore returns an empty store, or an error that names every fault of c.
func NewMemoryStore(c MemoryConfig) (*MemoryStore, error) {
	f := check.Config("idempotency: MemoryConfig")
	f.Require(c.MaxKeys >= 0, "MaxKeys", "be >= 0", c.MaxKeys)
	f.Require(c.MaxBytes >= 0, "MaxBytes", "be >= 0", c.MaxBytes)
	if err := f.Err(); err != nil {
		return nil, err
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	return &MemoryStore{maxKeys: c.MaxKeys, maxBytes: c.MaxBytes, started: time.Now(), byKey: make(map[string]*entry)}, nil
}

// An entry is the record of a key, and its place among the ends.
type entry struct {
	Record
	key   string
	place int
	free  *list.Element // if it was released
}

func (s *MemoryStore) now() time.Duration {
	return time.Duration(s.started.UnixNano()) + time.Since(s.started)
}

// Begin implements [Store].
func (s *MemoryStore) Begin(ctx context.Context, c Claim) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.dropExpired(now)
	e := s.byKey[c.Key]
	if e == nil {
		s.makeRoom()
		if len(s.byKey) >= s.maxKeys || s.bytes >= s.maxBytes {
			return Grant{}, ErrFull
		}
		e = &entry{key: c.Key, Record: Record{Fence: s.fence}}
		g := e.Begin(now, c)
		s.byKey[c.Key] = e
		heap.Push(&s.ends, e)
		return g, nil
	}
	s.bytes -= len(e.Outcome) // it may be past retention
	g := e.Begin(now, c)
	s.bytes += len(e.Outcome)
	s.changed(e)
	return g, nil
}

// Extend implements [Store].
func (s *MemoryStore) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.change(ctx, key, func(e *entry, now time.Duration) error { return e.Extend(now, token, lease) })
}

// Finish implements [Store]. It keeps o, which must not be changed afterwards.
func (s *MemoryStore) Finish(ctx context.Context, key, token string, o Outcome, keep time.Duration) error {
	return s.change(ctx, key, func(e *entry, now time.Duration) error {
		before := len(e.Outcome)
		err := e.Finish(now, token, o, keep)
		s.bytes += len(e.Outcome) - before
		return err
	})
}

// Release implements [Store].
func (s *MemoryStore) Release(ctx context.Context, key, token string) error {
	return s.change(ctx, key, func(e *entry, now time.Duration) error { return e.Release(now, token) })
}

// change changes the entry of a key, if there is one.
func (s *MemoryStore) change(ctx context.Context, key string, change func(*entry, time.Duration) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[key]
	if e == nil {
		return ErrLost
	}
	if err := change(e, s.now()); err != nil {
		return err
	}
	s.changed(e)
	return nil
}

// dropExpired drops what is past retention. It requires mu held.
func (s *MemoryStore) dropExpired(now time.Duration) {
	for n := 0; n < mostDropped && len(s.ends) > 0 && s.ends[0].KeepUntil <= now; n++ {
		s.remove(s.ends[0])
	}
}

// makeRoom drops, if there is no room for one more key, one that was released: that did nothing. It requires mu held.
func (s *MemoryStore) makeRoom() {
	if first := s.free.Front(); first != nil && len(s.byKey) >= s.maxKeys {
		s.remove(first.Value.(*entry))
	}
}

// remove drops an entry. It requires mu held.
func (s *MemoryStore) remove(e *entry) {
	heap.Remove(&s.ends, e.place)
	delete(s.byKey, e.key)
	s.bytes -= len(e.Outcome)
	s.fence = max(s.fence, e.Fence)
	if e.free != nil {
		s.free.Remove(e.free)
	}
}

// changed puts an entry that has changed in its place. It requires mu held.
func (s *MemoryStore) changed(e *entry) {
	heap.Fix(&s.ends, e.place)
	switch released := e.State == Released; {
	case released && e.free == nil:
		e.free = s.free.PushBack(e)
	case !released && e.free != nil:
		s.free.Remove(e.free)
		e.free = nil
	}
}

// mostDropped is how many records one Begin drops: more than it may add, and few enough that nobody waits for it.
const mostDropped = 64

// MemoryStats is what a [MemoryStore] holds at one moment.
type MemoryStats struct {
	Keys, MaxKeys   int // those included that are past retention and still wait to be dropped
	Bytes, MaxBytes int // of outcomes
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (s *MemoryStore) Stats() MemoryStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return MemoryStats{Keys: len(s.byKey), MaxKeys: s.maxKeys, Bytes: s.bytes, MaxBytes: s.maxBytes}
}

// ends is a heap of entries by the end of their retention.
type ends []*entry

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].KeepUntil < h[j].KeepUntil }
func (h ends) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *ends) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *ends) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
