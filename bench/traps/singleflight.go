package traps

import (
	"context"
	"sync"

	"golang.org/x/sync/singleflight"
)

var singleflightLibrary = Library{
	Name:   "x/sync/singleflight",
	Module: "golang.org/x/sync",
	Cache:  func(CacheConfig) (Cache, error) { return &singleflightCache{}, nil },
}

// A singleflightCache is what one writes around a singleflight: a map of what was loaded.
type singleflightCache struct {
	group  singleflight.Group
	loaded sync.Map
}

func (c *singleflightCache) Get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, error) {
	if v, ok := c.loaded.Load(key); ok {
		return v.(string), nil
	}
	v, err, _ := c.group.Do(key, func() (any, error) {
		v, err := load(ctx)
		if err == nil {
			c.loaded.Store(key, v)
		}
		return v, err
	})
	if err != nil {
		return "", err
	}
	return v.(string), nil
}

func (c *singleflightCache) Invalidate(key string) {
	c.group.Forget(key)
	c.loaded.Delete(key)
}
