package cache_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

// A register is what each key is to be, as long as its entry is fresh: a Get returns what was
// written last. A write changes the origin, and then tells the cache by Invalidate, InvalidateAll or Set; it is one operation
// from before the first to after the second. A Get that waits for a load from before the write began before
// the write ended, so it may return the old value; one that begins later may not.
//
// That is so where no load can read what the cache has not been told of yet. Otherwise, while a write is under way, a Get may
// return the new value, by a load, and a later one the old, which the cache still has: no cache can know better.
// What holds in any case is that a Get that begins after a write returns nothing older.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(access).key
			by[key] = append(by[key], op)
		}
		var all [][]porcupine.Operation
		for _, part := range by {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		in := input.(access)
		if in.write {
			return true, in.value
		}
		return output.(int64) == state.(int64), state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " → ", output) },
}

type access struct {
	key   int
	write bool
	value int64
}

// A keyed origin holds the value of each key, and changes it for one writer at a time.
type keyedOrigin struct {
	isolated bool // no load reads what the cache has not been told of
	values   [3]atomic.Int64
	writing  [3]sync.RWMutex
}

func (o *keyedOrigin) load(key int) func(context.Context) (int64, error) {
	return func(context.Context) (int64, error) {
		yield()
		if o.isolated {
			o.writing[key].RLock()
			defer o.writing[key].RUnlock()
		}
		v := o.values[key].Load()
		yield()
		return v, nil
	}
}

// yield lets others run now and then, so that all interleavings come up.
func yield() {
	for range rand.IntN(4) {
		runtime.Gosched()
	}
}

// Planted, each seen red: cache.go: Invalidate or Set does not unlist, or is done before it removes in two steps; load.go: store looks
// at listed without the lock, or not at all; get.go: join does not look again with the lock held; shard.go: clear does not unlist.
func TestAKeyIsLinearizable(t *testing.T) {
	for name, ahead := range map[string]float64{"loads": cache.NoRefreshAhead, "loads in the background": 1e-12} {
		t.Run(name, func(t *testing.T) {
			for round := range 500 {
				for _, part := range register.Partition(race(t, ahead, &keyedOrigin{isolated: true})) {
					if result := porcupine.CheckOperationsTimeout(register, part, time.Minute); result != porcupine.Ok {
						t.Fatalf("round %d: %s:\n%s", round, result, tell(part))
					}
				}
			}
		})
	}
}

func TestAGetReturnsNothingOlderThanTheWritesBeforeIt(t *testing.T) {
	for round := range 500 {
		for _, part := range register.Partition(race(t, 1e-12, &keyedOrigin{})) {
			for _, read := range part {
				for _, write := range part {
					w := write.Input.(access)
					if w.write && !read.Input.(access).write && write.Return < read.Call && read.Output.(int64) < w.value {
						t.Fatalf("round %d: %d is older than %d:\n%s", round, read.Output, w.value, tell(part))
					}
				}
			}
		}
	}
}

// race lets readers and writers loose on one cache, and returns what they did.
func race(t *testing.T, ahead float64, o *keyedOrigin) []porcupine.Operation {
	c := cache.MustNew[int, int64](cache.Config{MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Minute, RefreshAhead: ahead})
	defer c.Close()
	var clock, values atomic.Int64
	var mu sync.Mutex
	var history []porcupine.Operation // guarded by mu
	do := func(client int, in *access, f func() any) {
		op := porcupine.Operation{ClientId: client, Call: clock.Add(1)}
		op.Output = f()
		op.Return, op.Input = clock.Add(1), *in
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
	}
	var wg sync.WaitGroup
	for client := range 6 {
		wg.Go(func() {
			for range 12 {
				key := rand.IntN(len(o.values))
				yield()
				if client >= 2 {
					do(client, &access{key: key}, func() any {
						v, _, err := c.Get(t.Context(), key, o.load(key))
						if err != nil {
							t.Error(err)
						}
						return v
					})
					continue
				}
				in := &access{key: key, write: true}
				do(client, in, func() any {
					o.writing[key].Lock() // of two Sets at once, the cache cannot know which the origin had last
					defer o.writing[key].Unlock()
					in.value = values.Add(1)
					o.values[key].Store(in.value)
					yield()
					switch rand.IntN(3) {
					case 0:
						c.Invalidate(key)
					case 1:
						c.InvalidateAll()
					default:
						c.Set(key, in.value)
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	return history
}

func tell(history []porcupine.Operation) (s string) {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range history {
		s += fmt.Sprintf("%3d to %3d client %d: %+v → %v\n", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
	return s
}

// The values are written once each, and the reader of one is told from that of another, so that a
// history in which a read comes too late is refused.
func TestTheModelRefusesAStaleRead(t *testing.T) {
	write := porcupine.Operation{Input: access{write: true, value: 1}, Call: 1, Return: 2}
	read := porcupine.Operation{Input: access{}, Output: int64(0), Call: 3, Return: 4}
	require.False(t, porcupine.CheckOperations(register, []porcupine.Operation{write, read}))
	read.Call = 1
	require.True(t, porcupine.CheckOperations(register, []porcupine.Operation{write, read}))
}
