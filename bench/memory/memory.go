// Package memory measures how much memory caches take for an entry, beyond what they take
// when they are empty. Keys and values are numbers of 8 bytes; entries expire.
package memory

import (
	"runtime"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"

	"github.com/steady-go/steady/cache"
)

// A Filled is a cache that has been filled.
type Filled struct {
	Len   func() int
	Close func()
}

// A Library is one whose cache is measured.
type Library struct {
	Name string

	// Fill returns a cache that may hold n entries, and was given n.
	Fill func(n int) Filled
}

// Rooms are how many entries a cache may hold where it is measured.
var Rooms = []int{100_000, 1_000_000}

// Libraries are those whose caches are compared.
var Libraries = []Library{
	{"steady", steadyCache}, {"otter", otterCache}, {"theine", theineCache}, {"ristretto", ristrettoCache}, {"golang-lru", lruCache},
}

// PerEntry returns how many bytes a cache with room for n entries takes for each that it holds.
func (l Library) PerEntry(n int) float64 {
	before := inUse()
	c := l.Fill(n)
	taken := inUse() - before
	held := c.Len()
	c.Close()
	return taken / float64(held)
}

func inUse() float64 {
	runtime.GC()
	runtime.GC() // what the first finalizes
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

const never = 24 * time.Hour

func fill(n int, set func(uint64)) {
	for key := range uint64(n) {
		set(key)
	}
}

func steadyCache(n int) Filled {
	c := cache.MustNew[uint64, uint64](cache.Config{MaxEntries: n, Fresh: never, LoadTimeout: never})
	fill(n, func(key uint64) { c.Set(key, key) })
	return Filled{c.Len, c.Close}
}

func otterCache(n int) Filled {
	c := otter.Must(&otter.Options[uint64, uint64]{
		MaximumSize:       n,
		ExpiryCalculator:  otter.ExpiryWriting[uint64, uint64](never),
		RefreshCalculator: otter.RefreshWriting[uint64, uint64](never / 2),
	})
	fill(n, func(key uint64) { c.Set(key, key) })
	c.CleanUp()
	return Filled{c.EstimatedSize, func() { c.StopAllGoroutines() }}
}

func theineCache(n int) Filled {
	c, err := theine.NewBuilder[uint64, uint64](int64(n)).Build()
	if err != nil {
		panic(err)
	}
	fill(n, func(key uint64) { c.SetWithTTL(key, key, 1, never) })
	c.Wait()
	return Filled{c.Len, c.Close}
}

func ristrettoCache(n int) Filled {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, uint64]{NumCounters: 10 * int64(n), MaxCost: int64(n), BufferItems: 64, IgnoreInternalCost: true, Metrics: true})
	if err != nil {
		panic(err)
	}
	fill(n, func(key uint64) {
		c.SetWithTTL(key, key, 1, never)
		if key%1024 == 0 {
			c.Wait() // it drops what comes faster than it keeps up
		}
	})
	c.Wait()
	return Filled{func() int { return int(c.Metrics.KeysAdded() - c.Metrics.KeysEvicted()) }, c.Close}
}

func lruCache(n int) Filled {
	c := expirable.NewLRU[uint64, uint64](n, nil, never)
	fill(n, func(key uint64) { c.Add(key, key) })
	return Filled{c.Len, func() {}}
}
