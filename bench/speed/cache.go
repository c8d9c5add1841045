package speed

import (
	"context"
	"sync"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"
	"github.com/viccon/sturdyc"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/cache"
)

// entries is how many a cache may hold, and hot the key that is asked for.
const (
	entries = 10_000
	hot     = 7
)

// caches are what a hit costs on one key that everybody asks for. The entry expires in an hour, and would be
// loaded by one call for all who wait.
func caches() []Case {
	return []Case{{
		Name: "CacheHit", About: "a cache has the key, which everybody asks for", Call: same(measure.Ignores), Floor: since.Lib, Parallelism: 1,
		Reason: "it reads the clock to tell how old the value is",
		Variants: []Variant{
			bareCall, since, byHandCache,
			{Lib: Steady, New: func() measure.Do {
				c := cache.MustNew[uint64, uint64](cache.Config{MaxEntries: entries, Fresh: never, LoadTimeout: time.Second})
				load := func(context.Context) (uint64, error) { return hot, nil }
				return got(func(ctx context.Context) (uint64, error) {
					v, _, err := c.Get(ctx, hot, load)
					return v, err
				})
			}},
			{Lib: "otter", New: func() measure.Do {
				return otterGet(otter.Options[uint64, uint64]{
					ExpiryCalculator:  otter.ExpiryWriting[uint64, uint64](never),
					RefreshCalculator: otter.RefreshWriting[uint64, uint64](never - time.Minute),
				})
			}},
			{Lib: "otter-no-expiry", Lacks: "entries never expire", New: func() measure.Do { return otterGet(otter.Options[uint64, uint64]{}) }},
			{Lib: "theine", Lacks: "no load in the background", New: theineGet},
			{Lib: "sturdyc", New: sturdycGet},
			{Lib: "ristretto", Lacks: "loads nothing", New: ristrettoGet},
			{Lib: "golang-lru", Lacks: "loads nothing", New: func() measure.Do {
				c := expirable.NewLRU[uint64, uint64](entries, nil, never)
				c.Add(hot, hot)
				return present(func() (uint64, bool) { return c.Get(hot) })
			}},
		},
	}}
}

// got asks a cache that loads. The first time it does.
func got(get func(context.Context) (uint64, error)) measure.Do {
	return func(ctx context.Context, _ func(context.Context) error) error {
		if v, err := get(ctx); err != nil || v != hot {
			return measure.ErrBoom
		}
		return nil
	}
}

// present asks a cache that does not.
func present(get func() (uint64, bool)) measure.Do {
	return func(context.Context, func(context.Context) error) error {
		if v, ok := get(); !ok || v != hot {
			return measure.ErrBoom
		}
		return nil
	}
}

// byHandCache is what one writes first: a map behind a lock, with the time of each entry.
var byHandCache = Variant{
	Lib: "by-hand", Floor: true,
	New: func() measure.Do {
		type entry struct {
			value uint64
			until time.Time
		}
		var mu sync.RWMutex
		entries := map[uint64]entry{hot: {hot, time.Now().Add(never)}}
		return present(func() (uint64, bool) {
			mu.RLock()
			e, ok := entries[hot]
			mu.RUnlock()
			return e.value, ok && time.Now().Before(e.until)
		})
	},
}

func otterGet(o otter.Options[uint64, uint64]) measure.Do {
	o.MaximumSize = entries
	c := otter.Must(&o)
	load := otter.LoaderFunc[uint64, uint64](func(context.Context, uint64) (uint64, error) { return hot, nil })
	return got(func(ctx context.Context) (uint64, error) { return c.Get(ctx, hot, load) })
}

func theineGet() measure.Do {
	c, err := theine.NewBuilder[uint64, uint64](entries).BuildWithLoader(func(context.Context, uint64) (theine.Loaded[uint64], error) {
		return theine.Loaded[uint64]{Value: hot, Cost: 1, TTL: never}, nil
	})
	if err != nil {
		panic(err)
	}
	return got(func(ctx context.Context) (uint64, error) { return c.Get(ctx, hot) })
}

func sturdycGet() measure.Do {
	c := sturdyc.New[uint64](entries, 8, never, 10)
	load := func(context.Context) (uint64, error) { return hot, nil }
	return got(func(ctx context.Context) (uint64, error) { return c.GetOrFetch(ctx, "7", load) })
}

func ristrettoGet() measure.Do {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, uint64]{NumCounters: 10 * entries, MaxCost: entries, BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		panic(err)
	}
	c.SetWithTTL(hot, hot, 1, never)
	c.Wait()
	return present(func() (uint64, bool) { return c.Get(hot) })
}
