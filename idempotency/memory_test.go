package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

func newMemory(t testing.TB, c idempotency.MemoryConfig) *idempotency.MemoryStore {
	t.Helper()
	s, err := idempotency.NewMemoryStore(c)
	require.NoError(t, err)
	return s
}

func TestMemoryStoreConforms(t *testing.T) {
	storetest.TestStoreInBubbles(t, func(t *testing.T) func() idempotency.Store {
		s := newMemory(t, idempotency.MemoryConfig{})
		return func() idempotency.Store { return s }
	})
}

// keyOf returns a key as guards make them.
func keyOf(n int) string { return fmt.Sprintf("%064x", n) }

// pass begins and finishes a key.
func pass(ctx context.Context, s idempotency.Store, key string, keep time.Duration) error {
	g, err := s.Begin(ctx, idempotency.Claim{Key: key, Token: "token", Fingerprint: key, Lease: time.Minute, Keep: time.Hour})
	if err != nil {
		return err
	}
	if g.Status != idempotency.Acquired {
		return errors.New(g.Status.String())
	}
	return s.Finish(ctx, key, "token", idempotency.Outcome("done"), keep)
}

// To forget a key is to make its call again, so a store that is full refuses what comes.
func TestAMillionKeysAreOfferedToABoundOf100000(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, offered = 100_000, 1_000_000
		s := newMemory(t, idempotency.MemoryConfig{MaxKeys: bound})
		heap := func() float64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc)
		}
		for n := range bound {
			require.NoError(t, pass(t.Context(), s, keyOf(n), time.Hour))
		}
		full := heap()
		refused := 0
		for n := bound; n < offered; n++ {
			if errors.Is(pass(t.Context(), s, keyOf(n), time.Hour), idempotency.ErrFull) {
				refused++
			}
		}
		require.Equal(t, offered-bound, refused)
		require.InEpsilon(t, full, heap(), 0.05, "memory")
		require.Equal(t, bound, s.Stats().Keys)
		for n := range bound {
			g, err := s.Begin(t.Context(), idempotency.Claim{Key: keyOf(n), Token: "another", Lease: time.Minute, Keep: time.Hour})
			require.NoError(t, err)
			require.Equal(t, idempotency.Done, g.Status, "key %d", n)
		}

		// When retention is over the same number comes and goes, again and again.
		for range 9 {
			time.Sleep(time.Hour)
			for n := range bound {
				require.NoError(t, pass(t.Context(), s, keyOf(offered+n), time.Hour-time.Second))
			}
		}
		require.InEpsilon(t, full, heap(), 0.05, "memory")
		require.LessOrEqual(t, s.Stats().Keys, bound)
		runtime.KeepAlive(s)
	})
}

func TestOutcomesAreBoundedInBytes(t *testing.T) {
	s := newMemory(t, idempotency.MemoryConfig{MaxBytes: 1_000})
	finish := func(n, size int) error {
		return s.Finish(t.Context(), keyOf(n), "a", idempotency.Outcome(strings.Repeat("o", size)), time.Hour)
	}
	begin := func(n int) error {
		_, err := s.Begin(t.Context(), idempotency.Claim{Key: keyOf(n), Token: "a", Lease: time.Minute, Keep: time.Hour})
		return err
	}
	require.NoError(t, begin(1))
	require.NoError(t, begin(2))
	require.NoError(t, finish(1, 1_000))
	require.Equal(t, idempotency.MemoryStats{Keys: 2, MaxKeys: 100_000, Bytes: 1_000, MaxBytes: 1_000}, s.Stats())
	require.Equal(t, idempotency.ErrFull, begin(3))
	require.NoError(t, begin(1), "what is there is told")
	require.NoError(t, finish(2, 500), "what is under way may end")
	require.NoError(t, finish(2, 700), "repeated")
	require.Equal(t, 1_500, s.Stats().Bytes)
}

func TestBytesAreGivenBackWithRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(t, idempotency.MemoryConfig{})
		for range 3 {
			for n := range 100 {
				require.NoError(t, pass(t.Context(), s, keyOf(n), time.Minute))
			}
			require.Equal(t, 400, s.Stats().Bytes)
			time.Sleep(time.Minute)
		}
		for n := range 10 {
			require.NoError(t, pass(t.Context(), s, keyOf(1_000+n), time.Minute))
		}
		require.Equal(t, 40, s.Stats().Bytes)
		require.Equal(t, 10, s.Stats().Keys)
	})
}

func TestAStoreThatIsFullRefusesTheGuard(t *testing.T) {
	g := newGuard(t, idempotency.Config{Store: newMemory(t, idempotency.MemoryConfig{MaxKeys: 1})})
	_, _, err := order(t, g, 1)
	require.NoError(t, err)
	_, _, err = idempotency.Do(t.Context(), g, "b", "", uncalled(t))
	require.ErrorIs(t, err, idempotency.ErrFull)
	require.ErrorIs(t, err, idempotency.ErrStore)
	_, info, err := order(t, g, 2)
	require.NoError(t, err)
	require.True(t, info.Replayed)
}

// What a key costs: its entry, and its place in the map and the heap, which grow.
func TestAllocationsOfTheMemoryStore(t *testing.T) {
	s := newMemory(t, idempotency.MemoryConfig{})
	keys := make([]string, 20_000)
	for n := range keys {
		keys[n] = keyOf(n)
	}
	ctx, o, n := t.Context(), idempotency.Outcome("done"), 0
	require.LessOrEqual(t, testing.AllocsPerRun(len(keys)-1, func() {
		_, _ = s.Begin(ctx, idempotency.Claim{Key: keys[n], Token: "t", Fingerprint: keys[n], Lease: time.Minute, Keep: time.Hour})
		_ = s.Finish(ctx, keys[n], "t", o, time.Hour)
		n++
	}), 1.0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = s.Begin(ctx, idempotency.Claim{Key: keys[0], Token: "u", Fingerprint: keys[0], Lease: time.Minute, Keep: time.Hour})
	}), "a replay")
}

func BenchmarkMemoryStore(b *testing.B) {
	keys := make([]string, 1<<20)
	for n := range keys {
		keys[n] = keyOf(n)
	}
	b.Run("begin and finish", func(b *testing.B) {
		s := newMemory(b, idempotency.MemoryConfig{MaxKeys: len(keys)})
		o := idempotency.Outcome("done")
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if n&(len(keys)-1) == 0 {
				s = newMemory(b, idempotency.MemoryConfig{MaxKeys: len(keys)})
			}
			key := keys[n&(len(keys)-1)]
			_, _ = s.Begin(b.Context(), idempotency.Claim{Key: key, Token: "t", Fingerprint: key, Lease: time.Minute, Keep: time.Hour})
			_ = s.Finish(b.Context(), key, "t", o, time.Hour)
		}
	})
	b.Run("full, and all come and go", func(b *testing.B) {
		const full = 100_000
		s := newMemory(b, idempotency.MemoryConfig{MaxKeys: full})
		o := idempotency.Outcome("done")
		for n := range full - 1 {
			_ = pass(b.Context(), s, keyOf(1<<30+n), time.Hour)
		}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			key := keys[n&(len(keys)-1)]
			_, _ = s.Begin(b.Context(), idempotency.Claim{Key: key, Token: "t", Fingerprint: key, Lease: time.Minute, Keep: time.Hour})
			_ = s.Finish(b.Context(), key, "t", o, 0)
		}
	})
	b.Run("replay", func(b *testing.B) {
		s := newMemory(b, idempotency.MemoryConfig{})
		_ = pass(b.Context(), s, keys[0], time.Hour)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Begin(b.Context(), idempotency.Claim{Key: keys[0], Token: "t", Fingerprint: keys[0], Lease: time.Minute, Keep: time.Hour})
		}
	})
}

func BenchmarkDo(b *testing.B) {
	call := func(context.Context) (int, error) { return 1, nil }
	b.Run("run", func(b *testing.B) {
		g := newGuard(b, idempotency.Config{Store: newMemory(b, idempotency.MemoryConfig{MaxKeys: 1 << 30})})
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			_, _, _ = idempotency.Do(b.Context(), g, fmt.Sprint(n), "order", call)
		}
	})
	b.Run("replay", func(b *testing.B) {
		g := newGuard(b, idempotency.Config{})
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = idempotency.Do(b.Context(), g, "a", "order", call)
		}
	})
}
