package steadyredis_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/cache"
)

// A record is what the origin has for a key: a number that grows with each write.
type record struct {
	now atomic.Int64

	// told is the last number whose writer was told that all is done. Who asks later must get no lower one.
	told atomic.Int64

	far *server
}

// read returns the number, now or a little later.
func (r *record) read(ctx context.Context) (int64, error) {
	n := r.now.Load()
	r.way(ctx)
	return n, nil
}

// write returns the new number, which counts at a moment in between.
func (r *record) write(ctx context.Context) (int64, error) {
	r.way(ctx)
	n := r.now.Add(1)
	r.way(ctx)
	return n, nil
}

// way takes as long as the way to another process and back, a few times.
func (r *record) way(ctx context.Context) {
	for range rand.IntN(4) {
		r.far.admin.Ping(ctx)
	}
}

// tells notes that the writer of a number was told.
func (r *record) tells(n int64) {
	for {
		if old := r.told.Load(); old >= n || r.told.CompareAndSwap(old, n) {
			return
		}
	}
}

// Many processes read, write, and give up leases, entries are evicted and leases end: at no time does anybody who asks after a write was
// done get what was there before, and in the end nothing old can be read.
func TestNobodySeesWhatWasThereBeforeAWrite(t *testing.T) {
	s := startRedis(t)
	var records [3]record
	for i := range records {
		records[i].far = s
	}
	var tiers []*steadyredis.Tier[int64]
	for i := range 4 {
		c := config(s.client(t))
		c.Lease = []time.Duration{time.Millisecond, time.Minute}[i%2] // one of which ends before many loads do
		c.MaxWait = 2 * time.Millisecond
		c.OnError = func(_ context.Context, err error) { t.Error(err) }
		tiers = append(tiers, steadyredis.MustNew[int64](c))
	}
	checked := func(tier *steadyredis.Tier[int64], i int) cache.Source {
		r := &records[i]
		least := r.told.Load()
		got, meta, err := tier.Get(t.Context(), strconv.Itoa(i), r.read)
		if err != nil || got < least {
			t.Errorf("got %d, %v after %d was written (%v)", got, err, least, meta.Source)
		}
		return meta.Source
	}
	var found, loaded atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			tier := tiers[i%len(tiers)]
			for range 150 {
				k := rand.IntN(len(records))
				key, r := strconv.Itoa(k), &records[k]
				switch x := rand.IntN(100); {
				case x < 5:
					n, _ := r.write(t.Context())
					if err := tier.Invalidate(t.Context(), key); err != nil {
						t.Error(err)
					}
					r.tells(n)
				case x < 10:
					n, err := tier.Write(t.Context(), key, r.write)
					if err != nil {
						t.Error(err)
					}
					r.tells(n)
				case x < 12:
					s.admin.Del(t.Context(), "test:"+key) // evicted
				default:
					if checked(tier, k) == cache.Fresh {
						found.Add(1)
					} else {
						loaded.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	for i := range records {
		require.Equal(t, records[i].now.Load(), records[i].told.Load())
		for _, tier := range tiers {
			checked(tier, i)
		}
	}
	t.Logf("%d found, %d loaded", found.Load(), loaded.Load())
	require.Positive(t, found.Load())
	require.Positive(t, loaded.Load())
	var unstored uint64
	for _, tier := range tiers {
		unstored += tier.Stats().Unstored
	}
	require.Positive(t, unstored, "the races that this is about did happen")
}
