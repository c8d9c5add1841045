package breaker_test

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
	"github.com/steady-go/steady/breaker"
)

var faultLine = regexp.MustCompile(`^breaker: GroupConfig\.(?:Peers\.)?(\w+) must .+, got .+$`)

// requireNamesFields checks that each line of err names a field.
func requireNamesFields(t *testing.T, err error) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := faultLine.FindStringSubmatch(line)
		require.NotNil(t, m, "%q", line)
		_, ofGroup := reflect.TypeFor[breaker.GroupConfig]().FieldByName(m[1])
		_, ofPeers := reflect.TypeFor[breaker.Peers]().FieldByName(m[1])
		require.True(t, ofGroup || ofPeers, "%q names no field", line)
	}
}

// Whatever the configuration, it is refused by name, or works within its bounds.
func FuzzConfig(f *testing.F) {
	const off = breaker.Off
	ms, s, h := int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	f.Add(0.0, 0, int64(0), 0, int64(0), 0.0, int64(0), int64(0), int64(0), 0, int64(0), false, 0, false, 0.0, 0.0, uint64(0))
	f.Add(0.5, 1, s, 0, int64(0), 0.0, s, s, s, 1, int64(off), false, 2, true, 0.7, 0.3, uint64(0xf0f0_ffff_0f0f_1234))
	f.Add(float64(off), 20, h, 1, ms, 1.0, ms, ms, 24*h, 3, s, true, 1024, true, 1.0, 1.0, uint64(math.MaxUint64))
	f.Add(1.0, math.MaxInt32, ms, off, int64(math.MaxInt64), 1e-300, int64(math.MaxInt64), 24*h, 24*h, math.MaxInt, int64(math.MaxInt64), false, math.MaxInt, false, 0.0, 0.0, uint64(0xaaaa_aaaa_aaaa_aaaa))
	f.Add(1e-300, 1, ms, math.MaxInt, int64(1), 0.5, int64(1), ms, ms, 1, int64(1), false, 1, false, math.NaN(), math.Inf(1), uint64(1))
	f.Add(math.NaN(), -1, -s, math.MinInt, -s, math.Inf(-1), -s, -s, -s, math.MinInt, -s, false, -1, true, -1.0, 2.0, uint64(1))

	f.Fuzz(func(t *testing.T, failureRatio float64, minCalls int, window int64, inARow int, slowAfter int64, slowRatio float64,
		hangAfter, openFor, maxOpenFor int64, probes int, ramp int64, dryRun bool,
		maxKeys int, withPeers bool, minSuccess, maxOpenShare float64, calls uint64,
	) {
		c := breaker.GroupConfig{
			Config: breaker.Config{
				FailureRatio: failureRatio, MinCalls: minCalls, Window: time.Duration(window), ConsecutiveFailures: inARow,
				SlowAfter: time.Duration(slowAfter), SlowRatio: slowRatio, HangAfter: time.Duration(hangAfter),
				OpenFor: time.Duration(openFor), MaxOpenFor: time.Duration(maxOpenFor), Probes: probes, Ramp: time.Duration(ramp),
				DryRun: dryRun,
			},
			MaxKeys: maxKeys,
		}
		if withPeers {
			c.Peers = &breaker.Peers{MinSuccess: minSuccess, MaxOpenShare: maxOpenShare, ShedAbove: maxOpenShare}
		}
		synctest.Test(t, func(t *testing.T) {
			g, err := breaker.NewGroup(c)
			if err != nil {
				require.Nil(t, g)
				requireNamesFields(t, err)
				return
			}
			useGroup(t, g, c, calls)
		})
	})
}

// useGroup makes calls to three members as the bits of calls say, four for each
// call: whether it fails, whether it takes a while, and to whom.
func useGroup(t *testing.T, g *breaker.Group, c breaker.GroupConfig, calls uint64) {
	longestOpen := max(c.MaxOpenFor, c.OpenFor)
	if c.MaxOpenFor == 0 {
		longestOpen = max(time.Minute, c.OpenFor)
	}
	probes := c.Probes
	if probes == 0 {
		probes = 3
	}
	keys := []string{"a", "b", "c", "a"}
	for ; calls != 0; calls >>= 4 {
		started := false
		err := g.Do(t.Context(), keys[calls&3], func(context.Context) error {
			started = true
			if calls&4 != 0 {
				time.Sleep(2 * time.Second)
			}
			if calls&8 != 0 {
				return errBoom
			}
			return nil
		})
		switch {
		case !started:
			require.ErrorIs(t, err, breaker.ErrOpen)
			require.False(t, c.DryRun, "a dry run refuses nothing")
			_, rejected := steady.AsRejection(err)
			require.True(t, rejected)
		case calls&8 != 0:
			require.Equal(t, errBoom, err)
		default:
			require.NoError(t, err)
		}
		stats := g.Stats()
		if c.MaxKeys > 0 {
			require.LessOrEqual(t, len(stats.Members), c.MaxKeys)
		}
		for key, s := range stats.Members {
			require.NotEqual(t, "unknown", s.State.String())
			require.True(t, 0 <= s.Failures && s.Failures <= s.Calls, "%s: %+v", key, s)
			require.True(t, 0 <= s.Slow && s.Slow <= s.Calls, "%s: %+v", key, s)
			require.True(t, 0 <= s.Probes && s.Probes <= probes, "%s: %+v", key, s)
			require.Zero(t, s.InFlight, "%s: %+v", key, s)
			require.True(t, 0 <= s.RetryAfter && float64(s.RetryAfter) <= 1.2*float64(longestOpen), "%s: %+v", key, s)
			require.Equal(t, s.State == breaker.Open, s.RetryAfter > 0, "%s: %+v", key, s)
		}
		time.Sleep(500 * time.Millisecond)
	}
	time.Sleep(2 * longestOpen)
	for key, s := range g.Stats().Members {
		require.NotEqual(t, breaker.Open, s.State, "%s: whatever is open probes in the end", key)
	}
}
