package hits

import (
	"context"
	"strconv"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
	"github.com/steady-go/steady/cache"
	"github.com/viccon/sturdyc"
)

// Libraries are those whose caches are compared.
var Libraries = []Library{
	{"steady", "S3-FIFO", newSteady},
	{"otter", "W-TinyLFU, adaptive", newOtter},
	{"theine", "W-TinyLFU, adaptive", newTheine},
	{"ristretto", "sampled LFU with a TinyLFU filter", newRistretto},
	{"golang-lru-2q", "2Q", newTwoQueue},
	{"golang-lru", "LRU", newLRU},
	{"sturdyc", "the tenth that expires first", newSturdyc},
}

// never is longer than any measurement.
const never = 24 * time.Hour

type steadyCache struct{ *cache.Cache[uint64, uint64] }

func newSteady() (Cache, func()) {
	c := cache.MustNew[uint64, uint64](cache.Config{MaxEntries: Room, Fresh: never, LoadTimeout: never})
	return steadyCache{c}, c.Close
}

// Get asks by a load that brings nothing: only a Get that loads counts as use.
func (c steadyCache) Get(key uint64) bool {
	_, _, err := c.Cache.Get(context.Background(), key, nothing)
	return err == nil
}

func (c steadyCache) Put(key uint64) { c.Set(key, key) }

func nothing(context.Context) (uint64, error) { return 0, cache.ErrNotFound }

type otterCache struct{ *otter.Cache[uint64, uint64] }

func newOtter() (Cache, func()) {
	c := otter.Must(&otter.Options[uint64, uint64]{MaximumSize: Room})
	return otterCache{c}, func() { c.StopAllGoroutines() }
}

func (c otterCache) Get(key uint64) bool { _, ok := c.GetIfPresent(key); return ok }
func (c otterCache) Put(key uint64)      { c.Set(key, key); c.CleanUp() }

type theineCache struct {
	*theine.Cache[uint64, uint64]
}

func newTheine() (Cache, func()) {
	c, err := theine.NewBuilder[uint64, uint64](Room).Build()
	if err != nil {
		panic(err)
	}
	return theineCache{c}, c.Close
}

func (c theineCache) Get(key uint64) bool { _, ok := c.Cache.Get(key); return ok }
func (c theineCache) Put(key uint64)      { c.Set(key, key, 1); c.Wait() }

type ristrettoCache struct {
	*ristretto.Cache[uint64, uint64]
}

func newRistretto() (Cache, func()) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, uint64]{NumCounters: 10 * Room, MaxCost: Room, BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		panic(err)
	}
	return ristrettoCache{c}, c.Close
}

func (c ristrettoCache) Get(key uint64) bool { _, ok := c.Cache.Get(key); return ok }
func (c ristrettoCache) Put(key uint64)      { c.Set(key, key, 1); c.Wait() }

type twoQueue struct {
	*lru.TwoQueueCache[uint64, uint64]
}

func newTwoQueue() (Cache, func()) {
	c, err := lru.New2Q[uint64, uint64](Room)
	if err != nil {
		panic(err)
	}
	return twoQueue{c}, func() {}
}

func (c twoQueue) Get(key uint64) bool { _, ok := c.TwoQueueCache.Get(key); return ok }
func (c twoQueue) Put(key uint64)      { c.Add(key, key) }

type leastRecent struct{ *lru.Cache[uint64, uint64] }

func newLRU() (Cache, func()) {
	c, err := lru.New[uint64, uint64](Room)
	if err != nil {
		panic(err)
	}
	return leastRecent{c}, func() {}
}

func (c leastRecent) Get(key uint64) bool { _, ok := c.Cache.Get(key); return ok }
func (c leastRecent) Put(key uint64)      { c.Add(key, key) }

type sturdycCache struct{ *sturdyc.Client[uint64] }

func newSturdyc() (Cache, func()) {
	return sturdycCache{sturdyc.New[uint64](Room, 1, never, 10)}, func() {}
}

func (c sturdycCache) Get(key uint64) bool {
	_, ok := c.Client.Get(strconv.FormatUint(key, 10))
	return ok
}
func (c sturdycCache) Put(key uint64) { c.Set(strconv.FormatUint(key, 10), key) }
