package speed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/idempotency"
)

// liveKeys is how many keys a store has all the time, and keysAtOnce how many others come and go.
const (
	liveKeys   = 100_000
	keysAtOnce = 1 << 16
)

var idempotencyKeys = sync.OnceValue(func() []string {
	keys := make([]string, liveKeys+keysAtOnce)
	for i := range keys {
		keys[i] = fmt.Sprintf("%064x", i)
	}
	return keys
})

// idempotencyStores are what it costs to remember a key for a call, and its outcome, in memory.
func idempotencyStores() []Case {
	return []Case{{
		Name: "IdempotencyKey", About: "a store in memory that holds 100,000 keys takes one more, and its outcome", Call: same(measure.Ignores), Parallelism: 1, Floor: byHandKeys.Lib,
		Variants: []Variant{bareCall, byHandKeys, {Lib: Steady, New: steadyKeys}},
	}}
}

// each makes calls, each with another key.
func each(do func(ctx context.Context, key string, call func(context.Context) error) error) measure.Do {
	keys := idempotencyKeys()
	var n atomic.Uint64
	return func(ctx context.Context, call func(context.Context) error) error {
		return do(ctx, keys[liveKeys+int(n.Add(1)%keysAtOnce)], call)
	}
}

func steadyKeys() measure.Do {
	s, err := idempotency.NewMemoryStore(idempotency.MemoryConfig{MaxKeys: liveKeys + keysAtOnce})
	if err != nil {
		panic(err)
	}
	outcome := idempotency.Outcome("done")
	do := func(ctx context.Context, key string, keep time.Duration, call func(context.Context) error) error {
		g, err := s.Begin(ctx, idempotency.Claim{Key: key, Token: "token", Fingerprint: key, Lease: never, Keep: never})
		if err != nil || g.Status != idempotency.Acquired {
			return measure.ErrBoom
		}
		if err := call(ctx); err != nil {
			return err
		}
		return s.Finish(ctx, key, "token", outcome, keep)
	}
	for _, key := range idempotencyKeys()[:liveKeys] {
		_ = do(context.Background(), key, never, measure.Ignores)
	}
	return each(func(ctx context.Context, key string, call func(context.Context) error) error {
		return do(ctx, key, 0, call) // which the next Begin drops
	})
}

// byHandKeys is what one writes first: a map behind a lock, with no lease, no fingerprint and no fence, and whose keys somebody deletes.
var byHandKeys = Variant{
	Lib: "by-hand", Floor: true,
	New: func() measure.Do {
		type record struct {
			outcome string
			until   time.Time
		}
		var mu sync.Mutex
		records := make(map[string]record)
		for _, key := range idempotencyKeys()[:liveKeys] {
			records[key] = record{"done", time.Now().Add(never)}
		}
		return each(func(ctx context.Context, key string, call func(context.Context) error) error {
			mu.Lock()
			_, there := records[key]
			records[key] = record{until: time.Now().Add(never)}
			mu.Unlock()
			if there {
				return measure.ErrBoom
			}
			if err := call(ctx); err != nil {
				return err
			}
			mu.Lock()
			records[key] = record{"done", time.Now().Add(never)}
			delete(records, key)
			mu.Unlock()
			return nil
		})
	},
}
