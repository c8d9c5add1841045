package steadyredis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/cache"
)

// A held load has read its value, and returns it when it is let go.
type held[V any] struct {
	read, letGo chan struct{}
	value       V
}

func hold[V any](v V) *held[V] {
	return &held[V]{read: make(chan struct{}), letGo: make(chan struct{}), value: v}
}

func (h *held[V]) load(context.Context) (V, error) {
	close(h.read)
	<-h.letGo
	return h.value, nil
}

// begin makes a Get that holds, and returns a func that lets it go on to its end.
func begin[V any](t *testing.T, tier *steadyredis.Tier[V], key string, v V) (end func()) {
	t.Helper()
	h := hold(v)
	done := make(chan error, 1)
	go func() {
		_, _, err := tier.Get(t.Context(), key, h.load)
		done <- err
	}()
	<-h.read
	return func() {
		close(h.letGo)
		require.NoError(t, <-done)
	}
}

// The first hazard: a reader has read the old value, a writer writes the new one and invalidates, and then the
// reader stores what it has.
func TestALoadThatBeganBeforeAWriteStoresNothing(t *testing.T) {
	for name, invalidate := range map[string]func(*testing.T, *steadyredis.Tier[string]){
		"Invalidate": func(t *testing.T, writer *steadyredis.Tier[string]) {
			require.NoError(t, writer.Invalidate(t.Context(), "k"))
		},
		"Write": func(t *testing.T, writer *steadyredis.Tier[string]) {
			_, err := writer.Write(t.Context(), "k", brings("new", nil))
			require.NoError(t, err)
		},
		"Invalidate, and the next load": func(t *testing.T, writer *steadyredis.Tier[string]) {
			require.NoError(t, writer.Invalidate(t.Context(), "k"))
			_, _, err := writer.Get(t.Context(), "k", brings("new", nil))
			require.NoError(t, err)
		},
		"Invalidate, and the next lease": func(t *testing.T, writer *steadyredis.Tier[string]) {
			require.NoError(t, writer.Invalidate(t.Context(), "k"))
			end := begin(t, writer, "k", "new")
			t.Cleanup(end)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			c := config(s.client(t))
			c.MaxWait = steadyredis.NoWait
			reader := steadyredis.MustNew[string](c)
			c.Client = s.client(t)
			writer := steadyredis.MustNew[string](c)

			end := begin(t, reader, "k", "old")
			invalidate(t, writer)
			end()
			got, _, err := reader.Get(t.Context(), "k", brings("new", nil))
			require.NoError(t, err)
			require.Equal(t, "new", got)
			require.Equal(t, uint64(1), reader.Stats().Unstored)
		})
	}
}

func TestThatThereWasNothingBeforeAWriteIsNotStored(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.NegativeFor = time.Hour
	tier := steadyredis.MustNew[int](c)
	_, _, err := tier.Get(t.Context(), "k", func(ctx context.Context) (int, error) {
		require.NoError(t, tier.Invalidate(ctx, "k")) // it has been made
		return 0, cache.ErrNotFound
	})
	require.ErrorIs(t, err, cache.ErrNotFound)
	got, _, err := tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, 1, got)
}

// A lease that was given back must be one's own.
func TestALoadThatFailsLeavesTheLeaseOfTheNext(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.MaxWait = steadyredis.NoWait
	tier := steadyredis.MustNew[int](c)
	down := errors.New("down")
	var end func()
	_, _, err := tier.Get(t.Context(), "k", func(ctx context.Context) (int, error) {
		require.NoError(t, tier.Invalidate(ctx, "k"))
		end = begin(t, tier, "k", 1)
		return 0, down
	})
	require.Equal(t, down, err)
	end()
	got, _, err := tier.Get(t.Context(), "k", unwanted[int](t))
	require.NoError(t, err)
	require.Equal(t, 1, got)
}

// A Redis that is full evicts tokens as it does entries.
func TestALoadWhoseLeaseWasEvictedStoresNothing(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	end := begin(t, tier, "k", "old")
	require.NoError(t, s.admin.Del(t.Context(), "test:k").Err())
	end()
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
	require.Equal(t, uint64(1), tier.Stats().Unstored)
}

func TestALoadThatTakesLongerThanItsLeaseStoresNothing(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.Lease = time.Millisecond
	slow := steadyredis.MustNew[string](c)
	end := begin(t, slow, "k", "slow")
	eventually(t, "the end of the lease", func() bool { return s.admin.DBSize(t.Context()).Val() == 0 })
	c.Lease = time.Minute
	_, _, err := steadyredis.MustNew[string](c).Get(t.Context(), "k", brings("quick", nil))
	require.NoError(t, err)
	end()
	got, _, err := slow.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, "quick", got)
}

// A client that has given up on a command has not called it back: it may still be on its way, and be
// executed long after what was sent later.
func TestWhatArrivesLateStoresNothing(t *testing.T) {
	s := startRedis(t)
	for name, late := range map[string]func(*steadyredis.Tier[string], func(context.Context) (string, error)) (string, error){
		"Get": func(tier *steadyredis.Tier[string], old func(context.Context) (string, error)) (string, error) {
			v, _, err := tier.Get(t.Context(), "k", old)
			return v, err
		},
		"Write": func(tier *steadyredis.Tier[string], old func(context.Context) (string, error)) (string, error) {
			v, err := tier.Write(t.Context(), "k", old)
			if !errors.Is(err, steadyredis.ErrMayBeStale) {
				t.Errorf("got %v", err)
			}
			return v, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t, s.address)
			var heard faults
			c := config(redis.NewClient(&redis.Options{Addr: l.address, ContextTimeoutEnabled: true, MaxRetries: -1}))
			t.Cleanup(func() { _ = c.Client.Close() })
			c.OnError = heard.hear
			far := steadyredis.MustNew[string](c)
			near := steadyredis.MustNew[string](config(s.client(t)))
			_, err := near.Write(t.Context(), "other", brings("", nil)) // so that Redis knows the script, whose name alone is sent
			require.NoError(t, err)

			got, err := late(far, func(context.Context) (string, error) {
				l.stop()
				return "old", nil
			})
			require.NoError(t, err)
			require.Equal(t, "old", got)
			require.NoError(t, near.Invalidate(t.Context(), "k"))
			require.Equal(t, 1, l.goOn(), "the entry")
			require.Equal(t, name == "Get", len(heard.all()) == 1, "what Write has to say it returns")
			require.Equal(t, int64(0), s.admin.Exists(t.Context(), "test:k").Val())
			_, meta, err := near.Get(t.Context(), "k", brings("new", nil))
			require.NoError(t, err)
			require.Equal(t, cache.Loaded, meta.Source)
			require.NoError(t, near.Invalidate(t.Context(), "k"))
		})
	}
}

func TestWriteStoresWhatItWrote(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	_, _, _ = tier.Get(t.Context(), "k", brings("old", nil))
	got, err := tier.Write(t.Context(), "k", brings("new", nil))
	require.NoError(t, err)
	require.Equal(t, "new", got)
	got, meta, err := tier.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, "new", got)
	require.Equal(t, cache.Fresh, meta.Source)
}

// A load that begins while a write is under way may read what was there before.
func TestLoadsDuringAWriteStoreNothing(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.MaxWait = steadyredis.NoWait
	tier := steadyredis.MustNew[string](c)
	var end func()
	_, err := tier.Write(t.Context(), "k", func(context.Context) (string, error) {
		end = begin(t, tier, "k", "old")
		return "new", nil
	})
	require.NoError(t, err)
	end()
	got, _, err := tier.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, "new", got)
}

// Which of two is the last the origin decides, and tells nobody.
func TestWritesThatOverlapLeaveNoValue(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	write := func(outer, inner string) {
		_, err := tier.Write(t.Context(), "k", func(ctx context.Context) (string, error) {
			_, err := tier.Write(ctx, "k", brings(inner, nil))
			require.NoError(t, err)
			return outer, nil
		})
		require.NoError(t, err)
	}
	write("outer", "inner")
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())

	h := hold("first") // and ends second
	done := make(chan error, 1)
	go func() {
		_, err := tier.Write(t.Context(), "k", func(ctx context.Context) (string, error) { return h.load(ctx) })
		done <- err
	}()
	<-h.read
	_, err := tier.Write(t.Context(), "k", func(context.Context) (string, error) {
		close(h.letGo)
		require.NoError(t, <-done)
		return "second", nil
	})
	require.NoError(t, err)
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
}

// A write whose lease came late does not know what has been written before it.
func TestAWriteWhoseLeaseArrivesLateLeavesNoValue(t *testing.T) {
	s := startRedis(t)
	l := newLink(t, s.address)
	rdb := redis.NewClient(&redis.Options{Addr: l.address, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	require.NoError(t, rdb.Ping(t.Context()).Err())
	far := steadyredis.MustNew[string](config(rdb))
	near := steadyredis.MustNew[string](config(s.client(t)))

	l.stop()
	got, err := far.Write(t.Context(), "k", func(ctx context.Context) (string, error) {
		_, err := near.Write(ctx, "k", brings("second", nil))
		require.NoError(t, err)
		require.Equal(t, 1, l.goOn(), "the lease")
		return "first", nil
	})
	require.NoError(t, err)
	require.Equal(t, "first", got)
	require.Equal(t, int64(0), s.admin.Exists(t.Context(), "test:k").Val())
}

func TestAnInvalidateDuringAWriteLeavesNoValue(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	_, err := tier.Write(t.Context(), "k", func(ctx context.Context) (string, error) {
		require.NoError(t, tier.Invalidate(ctx, "k"))
		return "new", nil
	})
	require.NoError(t, err)
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
}

func TestWritesThatFailLeaveNoValue(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[any](config(s.client(t)))
	down := errors.New("down")
	for name, write := range map[string]func(context.Context) (any, error){
		"error":             fails[any](down),
		"panic":             func(context.Context) (any, error) { panic("of the write") },
		"not to be encoded": brings[any](make(chan int), nil),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _ = tier.Get(t.Context(), "k", brings[any]("old", nil))
			func() {
				defer func() { _ = recover() }()
				_, err := tier.Write(t.Context(), "k", write)
				if name == "error" {
					require.Equal(t, down, err)
				}
			}()
			require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
		})
	}
}

// With a write and an Invalidate after it, the old value would stay for Fresh.
func TestWhoDiesDuringAWriteLeavesNoOldValue(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.MaxWait = steadyredis.NoWait
	survivor := steadyredis.MustNew[string](c)
	_, _, _ = survivor.Get(t.Context(), "k", brings("old", nil))

	dying := s.connect()
	c.Client = dying
	got, err := steadyredis.MustNew[string](c).Write(t.Context(), "k", func(context.Context) (string, error) {
		return "new", dying.Close()
	})
	require.ErrorIs(t, err, steadyredis.ErrMayBeStale)
	require.Equal(t, "new", got, "it was written")

	got, _, err = survivor.Get(t.Context(), "k", brings("new", nil))
	require.NoError(t, err)
	require.Equal(t, "new", got)
}
