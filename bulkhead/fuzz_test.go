package bulkhead_test

import (
	"context"
	"math"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/bulkhead"
)

var faultLine = regexp.MustCompile(`^bulkhead: Config\.(\w+) must .+, got .+$`)

// requireNamesFields checks that each line of err names a field.
func requireNamesFields(t *testing.T, err error) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := faultLine.FindStringSubmatch(line)
		require.NotNil(t, m, "%q", line)
		_, ok := reflect.TypeFor[bulkhead.Config]().FieldByName(m[1])
		require.True(t, ok, "%q names no field", line)
	}
}

// Whatever the configuration, it is refused by name, or works within its bounds.
func FuzzConfig(f *testing.F) {
	f.Add(1, 0, int64(0), false, 0, uint8(3))
	f.Add(2, 3, int64(time.Second), false, 5, uint8(20))
	f.Add(2, 3, int64(bulkhead.NoMaxWait), false, 1, uint8(9))
	f.Add(1, 1, int64(1), true, 3, uint8(9))
	f.Add(math.MaxInt32, math.MaxInt32, int64(math.MaxInt64), true, math.MaxInt32, uint8(50))
	f.Add(math.MinInt, -1, int64(-2), false, math.MaxInt, uint8(1))
	f.Add(math.MaxInt, math.MaxInt, int64(math.MinInt64), true, math.MinInt, uint8(1))

	f.Fuzz(func(t *testing.T, limit, queue int, maxWait int64, dryRun bool, newLimit int, calls uint8) {
		c := bulkhead.Config{Limit: limit, Queue: queue, MaxWait: time.Duration(maxWait), DryRun: dryRun}
		synctest.Test(t, func(t *testing.T) {
			b, err := bulkhead.New(c)
			if err != nil {
				require.Nil(t, b)
				requireNamesFields(t, err)
				return
			}
			use(t, b, c, int(calls))
			if b.SetLimit(newLimit) == nil {
				require.Equal(t, newLimit, b.Stats().Limit)
				c.Limit = newLimit
			} else {
				require.True(t, newLimit < 1 || newLimit > math.MaxInt32, "refused: %d", newLimit)
			}
			use(t, b, c, int(calls))
		})
	})
}

// use makes calls of a second at once, and checks that nothing goes beyond the
// bounds of c and everything comes back.
func use(t *testing.T, b *bulkhead.Bulkhead, c bulkhead.Config, calls int) {
	var mu sync.Mutex
	var running, most, made, refused int
	begin, last := time.Now(), time.Time{}
	for range calls {
		go func() {
			err := b.Do(t.Context(), func(context.Context) error {
				mu.Lock()
				made++
				running++
				most = max(most, running)
				last = time.Now()
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return nil
			})
			if err != nil {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		}()
	}
	synctest.Wait()
	s := b.Stats()
	if c.DryRun {
		require.Equal(t, calls, most, "a dry run refuses nothing")
		require.Equal(t, calls, s.InFlight)
		require.Zero(t, s.Waiting)
	} else {
		require.Equal(t, min(calls, c.Limit), s.InFlight)
		require.Equal(t, min(calls-s.InFlight, c.Queue), s.Waiting)
	}
	time.Sleep(time.Hour)
	require.Equal(t, bulkhead.Stats{Limit: c.Limit, DryRun: c.DryRun}, b.Stats(), "everything is given back")
	require.Equal(t, calls, made+refused)
	if !c.DryRun {
		require.LessOrEqual(t, most, c.Limit)
		require.LessOrEqual(t, made, min(calls, c.Limit+c.Queue))
	}
	if c.MaxWait > 0 && made > 0 {
		require.LessOrEqual(t, last.Sub(begin), c.MaxWait, "nobody waits longer than MaxWait")
	}
}
