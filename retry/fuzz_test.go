package retry_test

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

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
)

var faultLine = regexp.MustCompile(`^retry: (Budget)?Config\.(\w+) must .+, got .+$`)

// requireNamesFields checks that each line of err names a field.
func requireNamesFields(t *testing.T, err error) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := faultLine.FindStringSubmatch(line)
		require.NotNil(t, m, "%q", line)
		of := reflect.TypeFor[retry.Config]()
		if m[1] != "" {
			of = reflect.TypeFor[retry.BudgetConfig]()
		}
		_, ok := of.FieldByName(m[2])
		require.True(t, ok, "%q names no field", line)
	}
}

// Whatever the configuration, it is refused by name, or works within its bounds.
func FuzzConfig(f *testing.F) {
	ms, s := int64(time.Millisecond), int64(time.Second)
	f.Add(0, int64(0), int64(0), 0.0, int64(0), 0, 0, 0, uint8(9))
	f.Add(5, 10*ms, 40*ms, 3.0, s, 30, 14, 1, uint8(2))
	f.Add(1, int64(retry.NoDelay), int64(0), 1.0, int64(1), 1, 1, 1, uint8(1))
	f.Add(math.MaxInt, int64(1), int64(math.MaxInt64), math.MaxFloat64, int64(math.MaxInt64), math.MaxInt32, math.MaxInt32, math.MaxInt32, uint8(255))
	f.Add(math.MinInt, int64(-2), int64(-1), math.NaN(), int64(-1), -1, -1, -1, uint8(3))
	f.Add(2, int64(math.MaxInt64), int64(0), math.Inf(1), int64(math.MinInt64), math.MaxInt, 10, 11, uint8(3))

	f.Fuzz(func(t *testing.T, attempts int, delay, maxDelay int64, multiplier float64, maxRetryAfter int64, tokens, cost, refund int, fail uint8) {
		budget, err := retry.NewBudget(retry.BudgetConfig{Tokens: tokens, Cost: cost, Refund: refund})
		if err != nil {
			require.Nil(t, budget)
			requireNamesFields(t, err)
			budget = nil
		}
		synctest.Test(t, func(t *testing.T) {
			r, err := retry.New(retry.Config{
				Attempts: attempts, Delay: time.Duration(delay), MaxDelay: time.Duration(maxDelay), Multiplier: multiplier,
				MaxRetryAfter: time.Duration(maxRetryAfter), Budget: budget,
			})
			if err != nil {
				require.Nil(t, r)
				requireNamesFields(t, err)
				return
			}
			if attempts == 0 {
				attempts = 3
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			before := r.Stats().Budget
			require.Equal(t, before.Limit, before.Tokens, "full at first")
			s := fails(int(fail))
			err = r.Do(ctx, s.call)
			n := len(s.starts)
			require.True(t, 1 <= n && n <= attempts, "%d attempts", n)
			require.NoError(t, ctx.Err(), "slept past the deadline")
			after := r.Stats().Budget
			require.True(t, 0 <= after.Tokens && after.Tokens <= after.Limit, "%+v", after)
			require.LessOrEqual(t, n-1, before.Retries)
			if n > int(fail) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errBoom)
			}
		})
	})
}

// onlyAfter is a source that draws 0 for every attempt but one.
type onlyAfter struct {
	attempt uint64
	draw    float64
}

func (o onlyAfter) Float64(_ string, n uint64) float64 {
	if n == o.attempt {
		return o.draw
	}
	return 0
}

// However far the backoff has grown, whatever was drawn and the server asks for, a
// delay is neither negative nor beyond what is documented.
func FuzzDelay(f *testing.F) {
	ms, s := int64(time.Millisecond), int64(time.Second)
	almost1 := math.Nextafter(1, 0)
	f.Add(50*ms, 2*s, 2.0, uint16(1), 0.5, int64(-1), 30*s)
	f.Add(50*ms, 2*s, 2.0, uint16(9), almost1, 5*s, 30*s)
	f.Add(int64(retry.NoDelay), int64(0), 1.0, uint16(3), almost1, int64(math.MaxInt64), 30*s)
	f.Add(int64(1), int64(math.MaxInt64), math.MaxFloat64, uint16(2000), almost1, int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1.0, uint16(1), almost1, int64(math.MinInt64), int64(1))
	f.Add(int64(1), int64(math.MaxInt64), 1.0001, uint16(65535), 0.0, int64(0), s)
	f.Add(int64(1), int64(math.MaxInt64), 2.0, uint16(63), 0.5, int64(0), s) // 1<<63 ns
	f.Add(int64(1<<62), int64(math.MaxInt64-1), 1.5, uint16(2), almost1, int64(1), int64(math.MaxInt64))

	f.Fuzz(func(t *testing.T, delay, maxDelay int64, multiplier float64, attempt uint16, draw float64, asked, maxRetryAfter int64) {
		if !(draw >= 0 && draw < 1) {
			t.Skip("no Source draws that")
		}
		n := int(attempt)%2048 + 1
		c := retry.Config{
			Attempts: n + 1, Delay: time.Duration(delay), MaxDelay: time.Duration(maxDelay), Multiplier: multiplier,
			MaxRetryAfter: time.Duration(maxRetryAfter), Budget: retry.NoBudget,
		}
		// The delay is told before it begins, and then the caller leaves.
		ctx, cancel := context.WithCancel(steady.ContextWithSource(t.Context(), onlyAfter{uint64(n), draw}))
		defer cancel()
		told := time.Duration(-1)
		c.Hook = steady.HookFunc(func(_ context.Context, e steady.Event) {
			if e.Kind == steady.KindRetry && e.Attempt == n {
				told = e.Delay
				cancel()
			}
		})
		r, err := retry.New(c)
		if err != nil {
			requireNamesFields(t, err)
			return
		}
		err = r.Do(ctx, func(ctx context.Context) error {
			if steady.Attempt(ctx) == n {
				return steady.RetryAfter(errBoom, time.Duration(asked))
			}
			return errBoom
		})
		require.ErrorIs(t, err, context.Canceled)

		floor := min(max(time.Duration(asked), 0), c.MaxRetryAfter)
		if c.MaxRetryAfter == 0 {
			floor = min(max(time.Duration(asked), 0), 30*time.Second)
		}
		require.GreaterOrEqual(t, told, floor, "Retry-After is a floor")
		require.LessOrEqual(t, told-floor, bound(c, n), "the backoff has a bound")
		require.LessOrEqual(t, float64(told-floor), draw*float64(bound(c, n))*(1+1e-9)+1, "of which the draw tells the share")
	})
}

// bound is the documented bound of the backoff after attempt n.
func bound(c retry.Config, n int) time.Duration {
	first, limit, multiplier := c.Delay, c.MaxDelay, c.Multiplier
	switch first {
	case retry.NoDelay:
		return 0
	case 0:
		first = 50 * time.Millisecond
	}
	if limit == 0 {
		limit = max(2*time.Second, first)
	}
	if multiplier == 0 {
		multiplier = 2
	}
	b := float64(first)
	for range n - 1 {
		if b *= multiplier; b >= float64(limit) {
			return limit
		}
	}
	// Repeated multiplication and a power differ in the last digits.
	if b = b*(1+1e-9) + 1; b >= float64(limit) {
		return limit
	}
	return time.Duration(b)
}
