package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

// The values are those of R's binom.test, and of the closed forms where all or
// none went well.
func TestIntervalsAreThoseOfClopperAndPearson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, 0.30849710},
		{10, 10, 0.69150290, 1},
		{8, 10, 0.44390454, 0.97478927},
		{5, 10, 0.18708603, 0.81291397},
		{95, 100, 0.88716514, 0.98356813},
		{1, 1, 0.025, 1},
		{0, 0, 0, 1},
	} {
		low, high := lab.Interval(c.k, c.n)
		require.InDelta(t, c.low, low, 1e-7, "%d of %d", c.k, c.n)
		require.InDelta(t, c.high, high, 1e-7, "%d of %d", c.k, c.n)
	}
}

func TestIntervalsOfManyRequests(t *testing.T) {
	// Where the normal approximation is good enough to compare with.
	const k, n = 7_200_000, 14_400_000
	low, high := lab.Interval(k, n)
	require.InDelta(t, 0.5-1.959964*0.5/3794.7332, low, 1e-7)
	require.InDelta(t, 0.5+1.959964*0.5/3794.7332, high, 1e-7)
}

func TestHowManyRequestsItTakesToClaimABound(t *testing.T) {
	require.Equal(t, 2995, lab.Needed(0.999))
	require.Equal(t, 299, lab.Needed(0.99))
	for failures, n := range []int{2995, 4742, 6294} {
		require.True(t, lab.Claims(n-failures, n, 0.999), "%d failures in %d", failures, n)
		require.False(t, lab.Claims(n-1-failures, n-1, 0.999), "%d failures in %d", failures, n-1)
	}
	require.False(t, lab.Claims(0, 0, 0.999))
}

func TestQuantilesAreByNearestRank(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for q, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 0.999: 100, 0.07: 7, 0.001: 1} {
		require.Equal(t, want, lab.Quantile(values, q), "%v", q)
	}
	require.Equal(t, time.Duration(1), lab.Quantile(values[:1], 0.99))
}
