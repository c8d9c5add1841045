package traps

import (
	"context"
	"time"

	"github.com/viccon/sturdyc"
)

var sturdycLibrary = Library{
	Name:   "sturdyc",
	Module: "github.com/viccon/sturdyc",
	Cache:  newSturdyc,
	Nonsense: map[Policy][]Nonsense{
		CachePolicy: {
			{"room for 0 entries", func() error { return made(sturdyc.New[string](0, 1, cacheFresh, 10)) }},
			{"a time to live of -1 h", func() error { return made(sturdyc.New[string](100, 1, -cacheFresh, 10)) }},
			{"110 percent to evict", func() error { return made(sturdyc.New[string](100, 1, cacheFresh, 110)) }},
		},
	},
}

type sturdycCache struct{ *sturdyc.Client[string] }

func newSturdyc(CacheConfig) (Cache, error) {
	return sturdycCache{sturdyc.New[string](100, 1, cacheFresh, 10,
		sturdyc.WithEarlyRefreshes(cacheFresh/2, cacheFresh/2+time.Minute, cacheFresh, time.Second))}, nil
}

func (c sturdycCache) Get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, error) {
	return c.GetOrFetch(ctx, key, load)
}

func (c sturdycCache) Invalidate(key string) { c.Delete(key) }
