package steadyredis_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

type user struct {
	Name string
	Age  int
}

// faults are what OnError has heard.
type faults struct {
	mu   sync.Mutex
	errs []error
}

func (f *faults) hear(_ context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *faults) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs
}

// config returns one that is good for most tests. The lease is long, so that a test that waited for its end by mistake would be seen.
func config(c redis.UniversalClient) steadyredis.Config {
	return steadyredis.Config{Client: c, Prefix: "test:", Fresh: time.Hour, Lease: time.Minute, Timeout: 5 * time.Second}
}

// brings returns a load of a value that counts its calls in n, if that is not nil.
func brings[V any](v V, n *int) func(context.Context) (V, error) {
	return func(context.Context) (V, error) {
		if n != nil {
			*n++
		}
		return v, nil
	}
}

// fails returns a load that fails.
func fails[V any](err error) func(context.Context) (V, error) {
	return func(context.Context) (v V, _ error) { return v, err }
}

// entry returns what Redis holds of a value that was stored then.
func entry(at time.Time, data string) string { return fmt.Sprintf("v%016d%s", at.UnixMicro(), data) }

// unwanted returns a load that must not be called.
func unwanted[V any](t *testing.T) func(context.Context) (V, error) {
	return func(context.Context) (v V, _ error) {
		t.Error("loaded")
		return v, nil
	}
}

func TestConfigFaultsAreToldTogether(t *testing.T) {
	_, err := steadyredis.New[user](steadyredis.Config{
		MaxWait: -2, NegativeFor: time.Microsecond, Jitter: 1, Timeout: -1, MaxBytes: -2,
		Decode: func([]byte, any) error { return nil }, Guard: (*nobody)(nil),
	})
	require.EqualError(t, err, `steadyredis: Config.Client must be set, got <nil>
steadyredis: Config.Prefix must be set, got ""
steadyredis: Config.Fresh must be >= 1ms, got 0s
steadyredis: Config.Lease must be >= 1ms, got 0s
steadyredis: Config.MaxWait must be >= 0, or NoWait, got -2ns
steadyredis: Config.NegativeFor must be 0, or >= 1ms, got 1µs
steadyredis: Config.Jitter must be between 0 and 1, or NoJitter, got 1
steadyredis: Config.Timeout must be >= 0, got -1ns
steadyredis: Config.MaxBytes must be >= 0, or NoMaxBytes, got -2
steadyredis: Config.Encode must be set with Decode, got nil
steadyredis: Config.Guard must be nil, or a policy, got a nil pointer`)
	require.Panics(t, func() { steadyredis.MustNew[user](steadyredis.Config{}) })
}

type nobody struct{}

func (*nobody) Do(ctx context.Context, call func(context.Context) error) error { return call(ctx) }

// A client that ignores contexts waits for a Redis that hangs, whatever Timeout says.
func TestClientsThatIgnoreContextsAreRefused(t *testing.T) {
	for _, c := range []redis.UniversalClient{
		redis.NewClient(&redis.Options{}),
		redis.NewClusterClient(&redis.ClusterOptions{}),
		redis.NewRing(&redis.RingOptions{}),
	} {
		_, err := steadyredis.New[user](config(c))
		require.EqualError(t, err, "steadyredis: Config.Client must have ContextTimeoutEnabled, got false")
		require.NoError(t, c.Close())
	}
	_, err := steadyredis.New[user](config((*redis.Client)(nil)))
	require.ErrorContains(t, err, "Config.Client must be set")
}

func TestWhatOneProcessLoadsTheOthersFind(t *testing.T) {
	s := startRedis(t)
	one := steadyredis.MustNew[user](config(s.client(t)))
	other := steadyredis.MustNew[user](config(s.client(t)))
	ada := user{"Ada", 36}

	got, meta, err := one.Get(t.Context(), "7", brings(ada, nil))
	require.NoError(t, err)
	require.Equal(t, ada, got)
	require.Equal(t, cache.Meta{Source: cache.Loaded}, meta)

	got, meta, err = other.Get(t.Context(), "7", unwanted[user](t))
	require.NoError(t, err)
	require.Equal(t, ada, got)
	require.Equal(t, cache.Fresh, meta.Source)
	require.Equal(t, steadyredis.Stats{Leased: 1}, one.Stats())
	require.Equal(t, steadyredis.Stats{Found: 1}, other.Stats())
}

func TestAgeIsThatOfTheEntryByTheClockOfRedis(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	_, _, err := tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)

	// An hour less a minute passes: the entry is made that much older.
	now, err := s.admin.Time(t.Context()).Result()
	require.NoError(t, err)
	require.NoError(t, s.admin.Set(t.Context(), "test:k", entry(now.Add(-59*time.Minute), "1"), redis.KeepTTL).Err())

	_, meta, err := tier.Get(t.Context(), "k", unwanted[int](t))
	require.NoError(t, err)
	require.GreaterOrEqual(t, meta.Age, 59*time.Minute)
	require.Less(t, meta.Age, 60*time.Minute)
}

func TestEntriesStayForFreshAtMostAndDoNotGoTogether(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.NegativeFor = time.Minute
	tier := steadyredis.MustNew[int](c)
	left := make(map[time.Duration]bool)
	for i := range 50 {
		key := strconv.Itoa(i)
		_, _, err := tier.Get(t.Context(), key, brings(1, nil))
		require.NoError(t, err)
		ttl, err := s.admin.PTTL(t.Context(), "test:"+key).Result()
		require.NoError(t, err)
		require.LessOrEqual(t, ttl, c.Fresh)
		require.Greater(t, ttl, c.Fresh*9/10-5*time.Second)
		left[ttl.Round(10*time.Second)] = true
	}
	require.Greater(t, len(left), 10)

	_, _, _ = tier.Get(t.Context(), "none", fails[int](cache.ErrNotFound))
	ttl, err := s.admin.PTTL(t.Context(), "test:none").Result()
	require.NoError(t, err)
	require.LessOrEqual(t, ttl, c.NegativeFor)
	require.Greater(t, ttl, c.NegativeFor*9/10-5*time.Second)
}

func TestThatThereIsNothingIsRemembered(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.NegativeFor = time.Minute
	tier := steadyredis.MustNew[int](c)
	notFound := cache.NotFound(errors.New("404"))

	_, meta, err := tier.Get(t.Context(), "k", fails[int](notFound))
	require.Equal(t, notFound, err, "the load's own")
	require.Equal(t, cache.Meta{Source: cache.Loaded}, meta)

	_, meta, err = tier.Get(t.Context(), "k", unwanted[int](t))
	require.Equal(t, cache.ErrNotFound, err)
	require.Equal(t, cache.Negative, meta.Source)
	require.Equal(t, cache.ErrNotFound, meta.Err)

	require.NoError(t, tier.Invalidate(t.Context(), "k"))
	got, _, err := tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, 1, got)
}

func TestThatThereIsNothingIsNotRememberedUnlessAsked(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	n := 0
	for range 3 { // without waiting for each other's leases
		_, _, err := tier.Get(t.Context(), "k", func(context.Context) (int, error) { n++; return 0, cache.ErrNotFound })
		require.Equal(t, cache.ErrNotFound, err)
	}
	require.Equal(t, 3, n)
}

func TestErrorsAreNotRemembered(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	down := errors.New("down")
	got, meta, err := tier.Get(t.Context(), "k", func(context.Context) (int, error) { return 7, down })
	require.Equal(t, down, err)
	require.Zero(t, got)
	require.Zero(t, meta)

	got, _, err = tier.Get(t.Context(), "k", brings(1, nil)) // at once: the lease was given back
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Zero(t, tier.Stats().Waited)
}

func TestKeysMayHoldAnyBytes(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	keys := []string{"", " ", "\x00", "\x00\xff\xfe", "a\r\nb", "{tag}", "{", "}{", "ключ", `"'\`, "*", strings.Repeat("k", 10_000)}
	for _, key := range keys {
		_, _, err := tier.Get(t.Context(), key, brings("of "+key, nil))
		require.NoError(t, err)
	}
	for _, key := range keys {
		got, meta, err := tier.Get(t.Context(), key, unwanted[string](t))
		require.NoError(t, err)
		require.Equal(t, cache.Fresh, meta.Source)
		if utf8.ValidString(key) { // JSON has text alone
			require.Equal(t, "of "+key, got)
		}
	}
	require.NoError(t, tier.Invalidate(t.Context(), keys...))
	n, err := s.admin.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestInvalidateOfManyKeys(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	var keys []string
	for i := range 1_234 {
		keys = append(keys, strconv.Itoa(i))
		require.NoError(t, s.admin.Set(t.Context(), "test:"+keys[i], "x", 0).Err())
	}
	require.NoError(t, tier.Invalidate(t.Context()))
	require.NoError(t, tier.Invalidate(t.Context(), keys...))
	n, err := s.admin.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestPrefixesKeepTiersApart(t *testing.T) {
	s := startRedis(t)
	a, b := config(s.client(t)), config(s.client(t))
	a.Prefix, b.Prefix = "a:", "b:"
	_, _, _ = steadyredis.MustNew[int](a).Get(t.Context(), "k", brings(1, nil))
	got, _, err := steadyredis.MustNew[int](b).Get(t.Context(), "k", brings(2, nil))
	require.NoError(t, err)
	require.Equal(t, 2, got)
}

func TestValuesGoThroughTheCodecThatIsSet(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.Encode = func(v any) ([]byte, error) {
		var b bytes.Buffer
		err := gob.NewEncoder(&b).Encode(v)
		return b.Bytes(), err
	}
	c.Decode = func(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) }
	tier := steadyredis.MustNew[map[int]string](c)
	value := map[int]string{1: "\x00\xff"}
	_, _, err := tier.Get(t.Context(), "k", brings(value, nil))
	require.NoError(t, err)
	got, _, err := tier.Get(t.Context(), "k", unwanted[map[int]string](t))
	require.NoError(t, err)
	require.Equal(t, value, got)
}

// An entry that cannot be read must not stay in the way until it ends.
func TestEntriesThatAreNoGoodAreOverwritten(t *testing.T) {
	s := startRedis(t)
	panics := func(data []byte, v any) error {
		if string(data) != "good" {
			panic("of the codec")
		}
		*v.(*string) = "good"
		return nil
	}
	for _, x := range []struct {
		name, entry string
		told        bool
	}{
		{"nothing", "", false},
		{"another's", "hello", false},
		{"a lease that is none", "l", false},
		{"a value without a time", "v", false},
		{"a value with another's time", "v000000000000000x", false},
		{"a value that is cut off", "v0001700000000000", true},
		{"a value of another type", "v0001700000000000{]", true},
	} {
		for _, decode := range []func([]byte, any) error{nil, panics} {
			t.Run(x.name, func(t *testing.T) {
				require.NoError(t, s.admin.Set(t.Context(), "test:k", x.entry, 0).Err())
				var heard faults
				c := config(s.client(t))
				c.OnError = heard.hear
				if decode != nil {
					c.Encode = func(v any) ([]byte, error) { return []byte(v.(string)), nil }
					c.Decode = decode
				}
				tier := steadyredis.MustNew[string](c)
				got, meta, err := tier.Get(t.Context(), "k", brings("good", nil))
				require.NoError(t, err)
				require.Equal(t, "good", got)
				require.Equal(t, cache.Loaded, meta.Source)
				if x.told {
					require.Len(t, heard.all(), 1)
					require.ErrorContains(t, heard.all()[0], `steadyredis: "test:": decoding of "k": `)
				} else {
					require.Empty(t, heard.all())
				}
				got, meta, err = tier.Get(t.Context(), "k", unwanted[string](t))
				require.NoError(t, err)
				require.Equal(t, "good", got)
				require.Equal(t, cache.Fresh, meta.Source)
			})
		}
	}
}

// What is no string was made by somebody who uses the key for something else.
func TestKeysOfOthersAreLeftAlone(t *testing.T) {
	s := startRedis(t)
	require.NoError(t, s.admin.LPush(t.Context(), "test:k", "job").Err())
	var heard faults
	c := config(s.client(t))
	c.OnError = heard.hear
	got, _, err := steadyredis.MustNew[int](c).Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Len(t, heard.all(), 1)
	require.ErrorContains(t, heard.all()[0], "WRONGTYPE")
	require.Equal(t, int64(1), s.admin.LLen(t.Context(), "test:k").Val())
}

func TestValuesThatCannotBeStoredKeepNobodyWaiting(t *testing.T) {
	s := startRedis(t)
	for _, x := range []struct {
		name  string
		value any
		is    error
	}{
		{"too large", strings.Repeat("x", 100), steadyredis.ErrTooLarge},
		{"not to be encoded", make(chan int), nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			var heard faults
			c := config(s.client(t))
			c.Prefix, c.MaxBytes, c.OnError = x.name, 50, heard.hear
			tier := steadyredis.MustNew[any](c)
			n := 0
			for range 3 {
				got, _, err := tier.Get(t.Context(), "k", brings(x.value, &n))
				require.NoError(t, err)
				require.Equal(t, x.value, got)
			}
			require.Equal(t, 3, n)
			require.Equal(t, steadyredis.Stats{Leased: 1, Alone: 2, Errors: 1}, tier.Stats())
			require.Len(t, heard.all(), 1, "of the one that had the lease")
			if x.is != nil {
				require.ErrorIs(t, heard.all()[0], x.is)
			}
			require.NoError(t, tier.Invalidate(t.Context(), "k"))
			got, _, err := tier.Get(t.Context(), "k", brings[any]("small", nil))
			require.NoError(t, err)
			require.Equal(t, "small", got)
			require.Equal(t, uint64(2), tier.Stats().Leased)
		})
	}
}

func TestLoadsThatDoNotReturnGiveTheLeaseBack(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	require.PanicsWithValue(t, "of the load", func() {
		_, _, _ = tier.Get(t.Context(), "k", func(context.Context) (int, error) { panic("of the load") })
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = tier.Get(t.Context(), "k", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	}()
	<-ended
	got, _, err := tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Zero(t, tier.Stats().Waited)
}

// The load has ended in time for others, if not for its caller.
func TestWhatALoadBringsIsStoredAlthoughItsCallerHasLeft(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	ctx, leave := context.WithCancel(t.Context())
	got, _, err := tier.Get(ctx, "k", func(context.Context) (int, error) { leave(); return 1, nil })
	require.NoError(t, err)
	require.Equal(t, 1, got)
	_, meta, err := tier.Get(t.Context(), "k", unwanted[int](t))
	require.NoError(t, err)
	require.Equal(t, cache.Fresh, meta.Source)
}

func TestNothingBeginsOnAContextThatIsDone(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, meta, err := tier.Get(ctx, "k", unwanted[int](t))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
	require.Zero(t, meta)
	_, err = tier.Write(ctx, "k", unwanted[int](t))
	require.ErrorIs(t, err, why)
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
}

// A write is done, whoever has left meanwhile.
func TestInvalidateWorksOnAContextThatIsDone(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	_, _, _ = tier.Get(t.Context(), "k", brings(1, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, tier.Invalidate(ctx, "k"))
	require.Equal(t, int64(0), s.admin.DBSize(t.Context()).Val())
}

// A restart, or SCRIPT FLUSH, takes the scripts away.
func TestScriptsAreLoadedAgain(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[int](config(s.client(t)))
	_, _, _ = tier.Get(t.Context(), "a", brings(1, nil))
	require.NoError(t, s.admin.ScriptFlush(t.Context()).Err())
	_, _, err := tier.Get(t.Context(), "b", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, steadyredis.Stats{Leased: 2}, tier.Stats())
}

func TestAPanicOfOnErrorIsCounted(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.OnError = func(context.Context, error) { panic("of OnError") }
	tier := steadyredis.MustNew[any](c)
	_, _, err := tier.Get(t.Context(), "k", brings[any](make(chan int), nil))
	require.NoError(t, err)
	require.Equal(t, uint64(1), tier.Stats().OnErrorPanics)
}

// refuses is a guard that is closed, and hears of each that comes.
type refuses struct{ n int }

func (r *refuses) Do(context.Context, func(context.Context) error) error { r.n++; return refusal{} }

type refusal struct{}

func (refusal) Error() string                     { return "refused" }
func (refusal) RejectedBy() (_, _, _ string)      { return "test", "", "" }
func (refusal) RetryAfter() (time.Duration, bool) { return 0, false }

var _ steady.Rejection = refusal{}

func TestGuardKeepsRedisFromBeingAskedAndWritesGoPastIt(t *testing.T) {
	s := startRedis(t)
	open := steadyredis.MustNew[int](config(s.client(t)))
	var heard faults
	r := &refuses{}
	c := config(s.client(t))
	c.Guard, c.OnError = r, heard.hear
	guarded := steadyredis.MustNew[int](c)

	_, _, _ = open.Get(t.Context(), "k", brings(1, nil))
	got, meta, err := guarded.Get(t.Context(), "k", brings(2, nil))
	require.NoError(t, err)
	require.Equal(t, 2, got)
	require.Equal(t, cache.Loaded, meta.Source)
	require.Equal(t, 1, r.n, "the look-up; there is no lease to fill")
	require.Empty(t, heard.all())

	require.NoError(t, guarded.Invalidate(t.Context(), "k"))
	_, err = guarded.Write(t.Context(), "k", brings(3, nil))
	require.NoError(t, err)
	got, _, _ = open.Get(t.Context(), "k", unwanted[int](t))
	require.Equal(t, 3, got)
}
