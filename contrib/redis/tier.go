// Package steadyredis keeps in Redis what several processes share: a second tier for package cache, and the keys of package
// idempotency (see [IdempotencyStore]).
//
// # The second tier
//
// What one process has loaded, the others need not load. A [Tier] wraps the func that loads. It looks into Redis first, and keeps there what the load
// brings. It goes inside the load of a [cache.Cache], which stays the first tier:
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	tier := steadyredis.MustNew[User](steadyredis.Config{
//		Client: rdb,
//		Prefix: "users/1:",
//		Fresh:  10 * time.Minute,
//		Lease:  time.Second, // of users, LoadTimeout: 3 * time.Second
//	})
//	user, meta, err := users.Get(ctx, id, tier.Load(id, func(ctx context.Context) (User, error) {
//		return fetch(ctx, id)
//	}))
//
// # Leases
//
// Who finds nothing gets a lease, which is a random token in the place of the entry, and loads. What it
// brings is stored only if its token is still there. [Tier.Invalidate] drops entry and token alike, so
// a load that began before a write cannot store what was there before, however late it ends. No
// clock takes part in that. The idea is that of Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, section 3.2.1.
//
// Who finds the lease of another waits for the value, for a bounded time, see Config.MaxWait. So of all processes that miss a key together
// one loads it. If its load fails it gives the lease back, and one of those who wait
// gets it; if its process dies, the same happens when the lease ends. One more load is made by each who has waited in vain, and by each for
// whom Redis fails: these load without a lease, and what they bring is not stored.
//
// # When Redis fails
//
// A Get for which Redis is down, slow or full loads as if there were no tier; nothing is refused. An operation is given up after
// Config.Timeout, and the first one of a Get that fails is its last. Config.OnError hears of it. With a
// breaker as Config.Guard a Redis that does not answer is not waited for each time.
//
// An entry stays for Fresh at most, whatever happens. Where Redis loses or undoes what it has confirmed, an old value may be seen
// for as long: when it fails over to a replica that had not heard of an Invalidate, since replication is asynchronous, and
// when it is restarted from a snapshot or log older than that. A Redis that evicts takes entry and token together: the load is not stored, and
// that is all. Each command names one key, so a cluster needs no hash tags. Redis 5 or later is needed, for a script that asks for the time.
//
// # After a write
//
// First the tier, then the cache:
//
//	err := tier.Invalidate(ctx, id) // after the write, whether or not it failed
//	users.Invalidate(id)
//
// The other way round, a load between the two takes the old value from Redis into the cache. The caches of other
// processes are not told: they keep what they have until their own Fresh, and stale windows, end. [Tier.Write] is safer than a
// write and Invalidate after it.
//
// # How old a value is
//
// An entry has the time of Redis when it was stored, and its age is told by the same clock, so those of
// the processes do not matter. A cache counts the age of what it has from its own load, which may bring a value that
// has been in Redis for as long as Fresh of the tier. In the worst case it returns a value that is as old as both windows
// together, its stale windows included: choose them so that the sum is bearable.
package steadyredis

import (
	"context"
	"encoding/json"
	"math"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
)

// What switches a default of a [Config] off.
const (
	NoWait     time.Duration = -1 // as MaxWait: who finds the lease of another loads at once
	NoJitter   float64       = -1 // as Jitter: entries stay for exactly as long as they may
	NoMaxBytes int           = -1 // as MaxBytes: values of any size are stored
)

// Config is the configuration of a [Tier]. Client, Prefix, Fresh and Lease are required.
type Config struct {
	// Name tells tiers apart in errors. It may be empty.
	Name string

	// Client is a client of Redis, of a cluster or of a ring. It stays the caller's to close.
	// Its ContextTimeoutEnabled must be true: otherwise it ignores Timeout, and a Redis that hangs holds each
	// call for its ReadTimeout, several times over. A client of another type is taken as it is.
	Client redis.UniversalClient

	// Prefix begins the names of all keys in Redis. There is no default: two tiers with the same
	// one would return each other's values. Put a version into it, and change that when the type of
	// the values changes, since versions of a service that run side by side would overwrite each other's entries.
	Prefix string

	// Fresh is for how long an entry stays, 1 ms at least. There is no default: it is how old an answer of
	// this tier may be when an invalidation was lost, or never sent.
	Fresh time.Duration

	// Lease is for how long who loads keeps the others waiting, and may still store what it brings, 1 ms at
	// least. There is no default: take the longest that load may take, retries included. What takes longer is not stored, and the
	// others load meanwhile. When a process dies while it loads, nobody else gets its lease for as long. The
	// LoadTimeout of the cache should be three times that: see MaxWait.
	Lease time.Duration

	// MaxWait is how long a Get waits for what another loads, until it loads by itself. It waits for no longer than half
	// of the time that its context leaves, so that there is time to load. 0 means twice as long as Lease: for the
	// lease of one that has died, and for the load of who gets it next. [NoWait] means not at all.
	MaxWait time.Duration

	// NegativeFor is how long it is remembered that there is nothing, which a load tells by
	// [cache.NotFound]; 1 ms at least, or 0, which means not at all.
	NegativeFor time.Duration

	// Jitter is the share by which the time of an entry is shortened at random, never lengthened, so that
	// entries that came together do not go together. It is between 0 and 1; 0 means 0.1. [NoJitter] switches it off.
	Jitter float64

	// Timeout is how long one operation of Redis may take. 0 means 100 ms: a hundred times what it takes
	// in the same zone, and bearable for a load. If Redis hangs, each Get takes that much longer.
	Timeout time.Duration

	// MaxBytes is how big the encoded value of an entry may be. A bigger one is returned, but not stored, and
	// OnError hears of it. 0 means 1 MiB: Redis serves nobody else while it copies a value. [NoMaxBytes] means any size.
	MaxBytes int

	// Encode and Decode turn values into bytes, and back. Decode gets a pointer to a value, as
	// [json.Unmarshal] does. An error of Decode, and a panic of it too, means that the entry is no good: it is loaded anew and
	// overwritten. Both must be set, or none, which means JSON. They may be called by several
	// goroutines at once.
	Encode func(v any) ([]byte, error)
	Decode func(data []byte, v any) error

	// Guard is the policy around each operation of a Get, such as a breaker, which keeps a Redis
	// that is down from being asked. Its hook tells how Redis fares. It must not wait for long. Timeout is inside of
	// it. Invalidate and Write do not go through it, since nothing can stand in for them. nil means none.
	Guard steady.Policy

	// OnError hears of what went wrong with Redis or with an entry while the caller got its
	// answer all the same, but not of rejections of Guard, which has a hook of its own. It is called on the
	// goroutine of the Get, and may be called by several at once. A panic in it is recovered. nil means nobody.
	OnError func(ctx context.Context, err error)
}

// Why these, see [Config].
const (
	defaultJitter   = 0.1
	defaultTimeout  = 100 * time.Millisecond
	defaultMaxBytes = 1 << 20
)

// A Tier keeps values in Redis, and loads those that it does not find there. It is made by [New], may
// be used by several goroutines at once, starts none, and needs no closing. All its methods but Load and Stats block
// on Redis, for Config.Timeout at most each time.
//
// Within one process it does not keep callers of the same key from waiting and loading side by
// side: that is the part of the cache around it.
type Tier[V any] struct {
	name        string
	client      redis.UniversalClient
	prefix      string
	fresh       time.Duration
	lease       time.Duration
	maxWait     time.Duration
	negativeFor time.Duration
	jitter      float64
	timeout     time.Duration
	maxBytes    int
	encode      func(any) ([]byte, error)
	decode      func([]byte, any) error
	guard       steady.Policy
	onError     func(context.Context, error)

	counts counts
}

// New returns a tier, or an error that names every fault of c. It does not call Redis, which may be down.
func New[V any](c Config) (*Tier[V], error) {
	f := check.Config("steadyredis: Config")
	f.Require(!check.IsNil(c.Client), "Client", "be set", c.Client)
	f.Require(obeysContexts(c.Client), "Client", "have ContextTimeoutEnabled", false)
	f.Require(c.Prefix != "", "Prefix", "be set", `""`)
	f.Require(c.Fresh >= time.Millisecond, "Fresh", "be >= 1ms", c.Fresh)
	f.Require(c.Lease >= time.Millisecond, "Lease", "be >= 1ms", c.Lease)
	f.Require(c.MaxWait >= 0 || c.MaxWait == NoWait, "MaxWait", "be >= 0, or NoWait", c.MaxWait)
	f.Require(c.NegativeFor == 0 || c.NegativeFor >= time.Millisecond, "NegativeFor", "be 0, or >= 1ms", c.NegativeFor)
	f.Require(c.Jitter == NoJitter || c.Jitter >= 0 && c.Jitter < 1, "Jitter", "be between 0 and 1, or NoJitter", c.Jitter)
	f.Require(c.Timeout >= 0, "Timeout", "be >= 0", c.Timeout)
	f.Require(c.MaxBytes >= 0 || c.MaxBytes == NoMaxBytes, "MaxBytes", "be >= 0, or NoMaxBytes", c.MaxBytes)
	f.Require(c.Encode != nil || c.Decode == nil, "Encode", "be set with Decode", "nil")
	f.Require(c.Decode != nil || c.Encode == nil, "Decode", "be set with Encode", "nil")
	f.Require(c.Guard == nil || !check.IsNil(c.Guard), "Guard", "be nil, or a policy", "a nil pointer")
	if err := f.Err(); err != nil {
		return nil, err
	}

	t := &Tier[V]{
		name:        c.Name,
		client:      c.Client,
		prefix:      c.Prefix,
		fresh:       c.Fresh,
		lease:       c.Lease,
		maxWait:     max(valueOr(c.MaxWait, 2*min(c.Lease, math.MaxInt64/2)), 0),
		negativeFor: c.NegativeFor,
		jitter:      max(valueOr(c.Jitter, defaultJitter), 0),
		timeout:     valueOr(c.Timeout, defaultTimeout),
		maxBytes:    valueOr(c.MaxBytes, defaultMaxBytes),
		encode:      c.Encode,
		decode:      c.Decode,
		guard:       c.Guard,
		onError:     c.OnError,
	}
	if t.encode == nil {
		t.encode, t.decode = json.Marshal, json.Unmarshal
	}
	if t.guard == nil {
		t.guard = steady.Chain()
	}
	return t, nil
}

// MustNew is like [New] but panics on an error.
func MustNew[V any](c Config) *Tier[V] { return check.Must(New[V](c)) }

func valueOr[T comparable](v, otherwise T) T {
	var unset T
	if v == unset {
		return otherwise
	}
	return v
}

// obeysContexts reports whether a client ends its operations with their contexts, as far as its type
// tells.
func obeysContexts(client redis.UniversalClient) bool {
	if check.IsNil(client) {
		return true
	}
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return c.Options().ContextTimeoutEnabled
	}
	return true
}

// Load returns the func to give to [cache.Cache.Get] in place of load: [Tier.Get] without what it tells
// besides.
func (t *Tier[V]) Load(key string, load func(context.Context) (V, error)) func(context.Context) (V, error) {
	return func(ctx context.Context) (V, error) {
		v, _, err := t.Get(ctx, key, load)
		return v, err
	}
}

// counts are what a tier counts.
type counts struct {
	found, negative, leased, alone, failed, waited, unstored, errors, panics atomic.Uint64
}

// Stats is what a [Tier] has done so far.
type Stats struct {
	// How many Gets were answered so far: with a value from Redis; by what Redis remembers, that there is
	// nothing; by a load with a lease; by one without. And how many returned an error other than that there is nothing.
	Found, Negative, Leased, Alone, Failed uint64

	Waited        uint64 // Gets that have waited for the load of another
	Unstored      uint64 // values that were not stored, since their lease was gone: ended, evicted, or dropped by a write
	Errors        uint64 // what OnError has heard, or would have
	OnErrorPanics uint64
}

// Stats returns the present counts. It is safe at any time.
func (t *Tier[V]) Stats() Stats {
	c := &t.counts
	return Stats{
		Found: c.found.Load(), Negative: c.negative.Load(), Leased: c.leased.Load(), Alone: c.alone.Load(), Failed: c.failed.Load(),
		Waited: c.waited.Load(), Unstored: c.unstored.Load(), Errors: c.errors.Load(), OnErrorPanics: c.panics.Load(),
	}
}
