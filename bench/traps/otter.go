package traps

import (
	"context"

	"github.com/maypok86/otter/v2"
)

var otterLibrary = Library{
	Name:   "otter",
	Module: "github.com/maypok86/otter/v2",
	Cache:  newOtter,
	Nonsense: map[Policy][]Nonsense{
		CachePolicy: {
			{"room for -1 entries", func() error { _, err := otter.New(&otter.Options[string, string]{MaximumSize: -1}); return err }},
			{"an expiry after -1 h", func() error {
				_, err := otter.New(&otter.Options[string, string]{MaximumSize: 100, ExpiryCalculator: otter.ExpiryWriting[string, string](-cacheFresh)})
				return err
			}},
		},
	},
}

type otterCache struct{ *otter.Cache[string, string] }

func newOtter(CacheConfig) (Cache, error) {
	c, err := otter.New(&otter.Options[string, string]{MaximumSize: 100, ExpiryCalculator: otter.ExpiryWriting[string, string](cacheFresh)})
	return otterCache{c}, err
}

func (c otterCache) Get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, error) {
	return c.Cache.Get(ctx, key, otter.LoaderFunc[string, string](func(ctx context.Context, _ string) (string, error) { return load(ctx) }))
}

func (c otterCache) Invalidate(key string) { c.Cache.Invalidate(key) }
