package timeout_test

import (
	"context"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/timeout"
)

var faultLine = regexp.MustCompile(`^timeout: Config\.(\w+) must .+, got .+$`)

// requireNamesFields checks that each line of err names a field.
func requireNamesFields(t *testing.T, err error) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := faultLine.FindStringSubmatch(line)
		require.NotNil(t, m, "%q", line)
		_, ok := reflect.TypeFor[timeout.Config]().FieldByName(m[1])
		require.True(t, ok, "%q names no field", line)
	}
}

// Whatever the configuration, it is refused by name, or works within its bounds.
// left is how long the caller waits, forever if negative; takes is how long the
// call would take.
func FuzzConfig(f *testing.F) {
	s, ms := int64(time.Second), int64(time.Millisecond)
	f.Add(s, false, 0, int64(0), int64(-1), 2*s, true)
	f.Add(s, false, 0, int64(0), s, 2*s, true)
	f.Add(s, false, 0, s/2, s/2-1, ms, false)
	f.Add(s, true, 1, s/2, s, s/2, false)
	f.Add(s, true, 2, int64(0), 2*s, s+ms, false)
	f.Add(int64(1), true, 0, int64(0), int64(0), int64(1), true)
	f.Add(int64(math.MaxInt64), true, math.MaxInt, int64(math.MaxInt64-1), int64(-1), s, true)
	f.Add(int64(math.MaxInt64), false, 0, int64(math.MaxInt64-1), s, s, true)
	f.Add(int64(-1), false, -1, int64(-1), int64(0), int64(0), true)
	f.Add(int64(0), false, 1, int64(math.MinInt64), int64(0), int64(0), true)

	f.Fuzz(func(t *testing.T, limit int64, abandon bool, maxAbandoned int, minRemaining, left, takes int64, obeys bool) {
		c := timeout.Config{Limit: time.Duration(limit), Abandon: abandon, MaxAbandoned: maxAbandoned, MinRemaining: time.Duration(minRemaining)}
		synctest.Test(t, func(t *testing.T) {
			p, err := timeout.New(c)
			if err != nil {
				require.Nil(t, p)
				requireNamesFields(t, err)
				return
			}
			for range 3 {
				use(t, p, c, time.Duration(left), time.Duration(uint64(takes)%uint64(time.Hour)), obeys)
			}
			time.Sleep(time.Hour)
			require.Zero(t, p.Stats().Abandoned)
		})
	})
}

// enough is how much longer than its context a caller may have to wait in Abandon
// mode.
const enough = 10 * time.Millisecond

// use makes one call, which takes a while unless it obeys its context.
func use(t *testing.T, p *timeout.Timeout, c timeout.Config, left, takes time.Duration, obeys bool) {
	ctx, bound := t.Context(), c.Limit
	hasDeadline := left >= 0
	if hasDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left)
		defer cancel()
		bound = min(bound, left)
	}
	abandoned := p.Stats().Abandoned
	start, started := time.Now(), false
	err := p.Do(ctx, func(ctx context.Context) error {
		started = true
		if !obeys {
			time.Sleep(takes)
			return nil
		}
		select {
		case <-time.After(takes):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	took := time.Since(start)
	most := c.MaxAbandoned
	if most == 0 {
		most = 100
	}
	switch {
	case hasDeadline && left == 0:
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, started)
	case c.Abandon && abandoned >= most:
		require.ErrorIs(t, err, timeout.ErrSaturated)
		require.False(t, started)
	case hasDeadline && left < c.MinRemaining:
		require.ErrorIs(t, err, timeout.ErrNoTime)
		require.False(t, started)
	case takes < bound:
		require.NoError(t, err)
		require.Equal(t, takes, took)
	case err != nil && takes > bound:
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, took, bound+enough)
		if hasDeadline && left < c.Limit {
			require.NotErrorIs(t, err, timeout.ErrExceeded, "the caller's deadline")
		} else if !hasDeadline || left > c.Limit {
			require.ErrorIs(t, err, timeout.ErrExceeded)
		}
	case err == nil && takes > bound:
		require.False(t, obeys)
		require.True(t, !c.Abandon || takes <= bound+enough, "it should have been abandoned")
	}
	require.LessOrEqual(t, p.Stats().Abandoned, most)
}
