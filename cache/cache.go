// Package cache keeps answers at hand, so that a service keeps answering while what it
// asks is slow or down, and fetches anew before its users have to wait.
//
// A [Cache] loads what it does not have, once however many ask, and goes through four
// windows as an entry grows old:
//
//	age of the entry                  what Get does
//	to 0.8 of Fresh                   returns it
//	to Fresh                          returns it; one load in the background
//	to Fresh + StaleWhileRevalidate   returns it as stale; one load in the background
//	to Fresh + StaleIfError           waits for a load; if that fails, returns the stale entry
//	older, or none                    waits for a load; if that fails, returns its error
//
// The stale windows are those of RFC 5861. What a Get returns tells where it comes from and
// how old it is: see [Meta].
//
// A load belongs to no caller. It runs on a goroutine of its own, with a timeout of its
// own and the values of the first caller's context, such as its trace, and goes on when
// every caller has left, so that the next one finds what it brings. Wrap it in the policies that
// guard its origin: the cache is the outermost.
//
//	users := cache.MustNew[string, User](cache.Config{
//		MaxEntries:   10_000,
//		Fresh:        time.Minute,
//		StaleIfError: time.Hour,
//		LoadTimeout:  2 * time.Second,
//	})
//	user, meta, err := users.Get(ctx, tenant+"/"+id, func(ctx context.Context) (User, error) {
//		return steady.DoValue(ctx, guard, func(ctx context.Context) (User, error) { return fetch(ctx, id) })
//	})
//
// Put into the key all that the answer depends on, the tenant and what the caller may see
// above all: who asks for the same key gets the same value. Values are shared between
// callers and must not be changed. A second tier, such as Redis, goes inside the load:
// see contrib/redis.
package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/refusal"
	"github.com/steady-go/steady/internal/report"
)

// What switches a default of a [Config] off.
const (
	NoRefreshAhead float64 = -1 // as RefreshAhead: an entry is loaded anew only once it is stale
	NoJitter       float64 = -1 // as Jitter: windows have the same length for all entries
	NoMaxLoads     int     = -1 // as MaxLoads: any number of loads may run at once
)

// Config is the configuration of a [Cache]. MaxEntries, Fresh and LoadTimeout are required.
type Config struct {
	// Name tells caches apart in events and errors. It may be empty.
	Name string

	// MaxEntries is how many entries the cache holds at most, from 1 to 2³⁰. There is no
	// default: it is the memory that you grant, divided by what an entry takes, which is that
	// of its key and value and some 70 to 80 bytes. Beyond it the entries go that are asked for least,
	// by S3-FIFO. Shards by hash are uneven, so of as many keys as there is room for a few in a hundred do not fit.
	MaxEntries int

	// Fresh is for how long an entry is as good as a new one. There is no default: it is how
	// old an answer may be when all is well.
	Fresh time.Duration

	// StaleWhileRevalidate is for how long after Fresh an entry is still returned at once, as
	// stale, while it is loaded anew in the background. 0 means not at all.
	StaleWhileRevalidate time.Duration

	// StaleIfError is for how long after Fresh an entry is returned when it cannot be loaded
	// anew. It must be longer than StaleWhileRevalidate, or 0, which means not at all. It is how old
	// an answer may be rather than none.
	StaleIfError time.Duration

	// StaleIf decides whether an entry may stand in for a load that failed with err. nil means:
	// for rejections, panics, and all errors but those that are permanent (see
	// [steady.IsPermanent]), so mark by [steady.Permanent] what must be known at once, such as
	// status 401 or 403. It is not asked for what [NotFound] has marked, which is never masked. An
	// error that it declines in the background, too, ends the stale windows of its entry. It
	// may be called by several goroutines at once, and must be quick: who waits for the load waits for it.
	StaleIf func(err error) bool

	// NegativeFor is for how long the cache remembers that there is nothing, which a load tells
	// by [NotFound]. 0 means not at all. Keep it short: what is made meanwhile stays unseen for so
	// long, unless Set or Invalidate tells of it.
	NegativeFor time.Duration

	// RefreshAhead is after which share of Fresh a Get loads the entry anew in the background,
	// so that entries in use never become stale while all is well. It is between 0 and 1; 0 means
	// 0.8, which leaves a fifth of Fresh for the load. [NoRefreshAhead] switches it off.
	RefreshAhead float64

	// Jitter is the share by which all windows of an entry are shortened at random, never
	// lengthened, so that entries that came together do not go together. It is between 0 and
	// 1; 0 means 0.1. [NoJitter] switches it off.
	Jitter float64

	// LoadTimeout is how long a load may take. Its context ends then; those who wait get an
	// error that matches [ErrLoadTimeout], and a load that ignores its context is left
	// running, to no further effect. There is no default: it bounds all that the load does, retries
	// included, and may be longer than any caller waits.
	LoadTimeout time.Duration

	// MaxLoads is how many loads may run at once, of all keys, those included that were left
	// running and those in the background. One of [Cache.GetMany] counts once. A Get that would need one more gets a stale entry, if
	// there is one, or a rejection that matches [ErrOverloaded]. 0 means 1,000, so that an
	// empty cache does not turn a crowd into as many goroutines. Take less than what the
	// origin bears. [NoMaxLoads] means no bound.
	MaxLoads int

	// Hook hears of every Get, of loads and of evictions. nil means nobody.
	Hook steady.Hook
}

// Why these, see [Config].
const (
	defaultRefreshAhead = 0.8
	defaultJitter       = 0.1
	defaultMaxLoads     = 1_000
)

// A Cache keeps values and loads those that it does not have. It is made by [New], may be used
// by several goroutines at once, and starts none but those of its loads: [Cache.Close] ends them.
// No method but Get, GetMany and Close blocks.
type Cache[K comparable, V any] struct {
	windows windows
	started time.Time // the times in a cache are since then
	seed    maphash.Seed
	shift   int // of a hash, to the number of its shard
	shards  []shard[K, V]

	staleIf     func(error) bool
	loadTimeout time.Duration
	name        string
	overloaded  *refusal.Refusal
	ended       *refusal.Refusal
	report      report.Reporter

	hits    tally // Gets that were answered by a calm entry
	counts  counts
	flights flights[K, V]
	closed  atomic.Bool // written with the locks of all shards held
}

// New returns an empty cache, or an error that names every fault of c.
func New[K comparable, V any](c Config) (*Cache[K, V], error) {
	f := check.Config("cache: Config")
	f.Require(c.MaxEntries >= 1 && c.MaxEntries <= 1<<30, "MaxEntries", "be between 1 and 1073741824", c.MaxEntries)
	f.Require(c.Fresh > 0, "Fresh", "be > 0", c.Fresh)
	f.Require(c.StaleWhileRevalidate >= 0, "StaleWhileRevalidate", "be >= 0", c.StaleWhileRevalidate)
	f.Require(c.Fresh <= math.MaxInt64-max(c.StaleWhileRevalidate, 0), "StaleWhileRevalidate", "leave room for Fresh", c.StaleWhileRevalidate)
	f.Require(c.StaleIfError == 0 || c.StaleIfError > max(c.StaleWhileRevalidate, 0), "StaleIfError", "be 0, or > StaleWhileRevalidate", c.StaleIfError)
	f.Require(c.Fresh <= math.MaxInt64-max(c.StaleIfError, 0), "StaleIfError", "leave room for Fresh", c.StaleIfError)
	f.Require(c.NegativeFor >= 0, "NegativeFor", "be >= 0", c.NegativeFor)
	f.Require(c.RefreshAhead == NoRefreshAhead || c.RefreshAhead >= 0 && c.RefreshAhead < 1, "RefreshAhead", "be between 0 and 1, or NoRefreshAhead", c.RefreshAhead)
	f.Require(c.Jitter == NoJitter || c.Jitter >= 0 && c.Jitter < 1, "Jitter", "be between 0 and 1, or NoJitter", c.Jitter)
	f.Require(c.LoadTimeout > 0, "LoadTimeout", "be > 0", c.LoadTimeout)
	f.Require(c.MaxLoads >= 0 || c.MaxLoads == NoMaxLoads, "MaxLoads", "be > 0, or NoMaxLoads", c.MaxLoads)
	f.Require(c.StaleIf == nil || c.StaleWhileRevalidate > 0 || c.StaleIfError > 0, "StaleIf", "be nil without a stale window", "a func")
	if err := f.Err(); err != nil {
		return nil, err
	}

	n := shardsFor(c.MaxEntries)
	cache := &Cache[K, V]{
		windows:     newWindows(c),
		started:     time.Now(),
		seed:        maphash.MakeSeed(),
		shift:       64 - bits.TrailingZeros(uint(n)),
		shards:      make([]shard[K, V], n),
		hits:        newTally(),
		staleIf:     c.StaleIf,
		loadTimeout: c.LoadTimeout,
		name:        c.Name,
		overloaded:  refusal.New("cache", c.Name, ErrOverloaded),
		ended:       refusal.NewPermanent("cache", c.Name, ErrClosed),
	}
	if cache.staleIf == nil {
		cache.staleIf = masksAllButPermanent
	}
	cache.flights.max = valueOr(c.MaxLoads, 0, defaultMaxLoads)
	for i := range cache.shards {
		room := c.MaxEntries / n
		if i < c.MaxEntries%n {
			room++
		}
		cache.shards[i].init(room)
	}
	cache.report.Init(c.Hook, "cache", c.Name, "")
	report.Introduce(&cache.report, cache)
	return cache, nil
}

// MustNew is like [New] but panics on an error.
func MustNew[K comparable, V any](c Config) *Cache[K, V] { return check.Must(New[K, V](c)) }

func valueOr[T comparable](v, unset, otherwise T) T {
	if v == unset {
		return otherwise
	}
	return v
}

// masksAllButPermanent is the default of StaleIf. A rejection may be permanent too, as that of a
// breaker that was forced open, and tells nothing of the value; nor does what a load panicked with.
func masksAllButPermanent(err error) bool {
	_, rejected := steady.AsRejection(err)
	_, panicked := errors.AsType[*steady.PanicError](err)
	return rejected || panicked || !steady.IsPermanent(err)
}

// shardMin is how many entries a shard should have at least: with less, the keys that happen to
// fall to one would be too uneven, and each would see too little of the traffic to tell what is hot.
const shardMin = 512

// shardsFor returns a power of two: enough that those who write seldom meet, and not so many
// that each is too small.
func shardsFor(entries int) int {
	n := 1
	for n < 4*runtime.GOMAXPROCS(0) && entries/(2*n) >= shardMin {
		n *= 2
	}
	return n
}

// now returns the time since the cache was made. It jumps when the cache is carried into a
// synctest bubble, or out of it.
func (c *Cache[K, V]) now() int64 { return int64(time.Since(c.started)) }

// hash panics for a key that cannot be compared, which an interface may hold.
func (c *Cache[K, V]) hash(key K) uint64 { return maphash.Comparable(c.seed, key) }

// shard returns the one that a hash belongs to.
func (c *Cache[K, V]) shard(hash uint64) *shard[K, V] { return &c.shards[hash>>c.shift] }

// Set stores a value that the caller knows to be the present one, as fresh. It counts as newer
// than what a load brings that is under way: that goes to who waits for it, and is not stored.
// After Close, Set does nothing.
func (c *Cache[K, V]) Set(key K, value V) {
	hash, now := c.hash(key), c.now()
	n := &node[K, V]{key: key, value: value}
	c.windows.begin(&n.life, now, rand.Float64())
	s := c.shard(hash)
	s.mu.Lock()
	if c.closed.Load() {
		s.mu.Unlock()
		return
	}
	s.unlistKey(hash, key)
	var out evicted[K, V]
	s.put(c, hash, n, now, &out)
	s.mu.Unlock()
	c.evicted(context.Background(), out)
}

// Invalidate drops what the cache has for keys, so that a Get that starts afterwards loads anew. What
// a load brings that is under way goes to who waits for it, and is not stored. Call it after what
// the keys stand for was changed, not before.
func (c *Cache[K, V]) Invalidate(keys ...K) {
	for _, key := range keys {
		hash := c.hash(key)
		s := c.shard(hash)
		s.mu.Lock()
		s.unlistKey(hash, key)
		s.remove(hash, key)
		s.mu.Unlock()
	}
}

// InvalidateAll is Invalidate for all keys at once, at one moment.
func (c *Cache[K, V]) InvalidateAll() {
	c.lockAll()
	defer c.unlockAll()
	for i := range c.shards {
		c.shards[i].clear()
	}
}

func (c *Cache[K, V]) lockAll() {
	for i := range c.shards {
		c.shards[i].mu.Lock()
	}
}

func (c *Cache[K, V]) unlockAll() {
	for i := range c.shards {
		c.shards[i].mu.Unlock()
	}
}

// Peek returns what the cache has for a key, without loading anything and without counting
// as use. The source tells whether it is [Fresh] or [Stale]. A stale value is told of also when StaleIf has declined an error: then Meta.Err is
// that, and no Get returns the value. It reports false when there is no value, or one past all windows;
// where the cache remembers that there is nothing, the source is [Negative] and Meta.Err tells why.
func (c *Cache[K, V]) Peek(key K) (V, Meta, bool) {
	hash := c.hash(key)
	var none V
	n := c.shard(hash).findLocked(hash, key)
	if n == nil {
		return none, Meta{}, false
	}
	switch a := c.windows.assess(&n.life, c.now()); a.window {
	case fresh, ahead:
		return n.value, Meta{Source: Fresh, Age: a.age}, true
	case revalidate, ifError:
		return n.value, Meta{Source: Stale, Age: a.age, Err: a.why()}, true
	case negative:
		return none, Meta{Source: Negative, Age: a.age, Err: a.why()}, false
	default:
		return none, Meta{}, false
	}
}

// Len returns how many entries the cache holds: those included that remember that there is nothing,
// and those past all windows that still wait to be replaced.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.len
		s.mu.Unlock()
	}
	return n
}

// Close drops all entries, ends the contexts of all loads under way, and waits for these to return, but
// for no longer than LoadTimeout: one that ignores its context is left running, to no further effect. Who waits
// for a load gets [ErrClosed]; every Get afterwards gets a rejection that matches it. It may be called
// more than once, and must not be called by a load.
func (c *Cache[K, V]) Close() {
	c.lockAll()
	c.closed.Store(true)
	for i := range c.shards {
		c.shards[i].clear()
	}
	c.unlockAll()
	c.flights.close()
}
