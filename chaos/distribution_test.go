package chaos_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
)

func TestDistributionsAreTheirInverse(t *testing.T) {
	ms := time.Millisecond
	measured := chaos.Quantiles(map[float64]time.Duration{0.5: 20 * ms, 0.9: 40 * ms, 1: 2000 * ms})
	for _, c := range []struct {
		name string
		d    chaos.Distribution
		u    float64
		want time.Duration
	}{
		{"constant", chaos.Constant(ms), 0, ms},
		{"constant", chaos.Constant(ms), 0.999, ms},
		{"uniform", chaos.Uniform(10*ms, 30*ms), 0, 10 * ms},
		{"uniform", chaos.Uniform(10*ms, 30*ms), 0.25, 15 * ms},
		{"lognormal, the median", chaos.LogNormal(25*ms, 0.5), 0.5, 22062422 * time.Nanosecond}, // 25 ms · exp(-1/8)
		{"lognormal, p99", chaos.LogNormal(25*ms, 0.5), 0.99, 70601385 * time.Nanosecond},       // … · exp(2.32635/2)
		{"lognormal, nothing below", chaos.LogNormal(25*ms, 0.5), 0, 0},
		{"pareto", chaos.Pareto(10*ms, 2), 0, 10 * ms},
		{"pareto", chaos.Pareto(10*ms, 2), 0.75, 20 * ms},
		{"pareto", chaos.Pareto(10*ms, 1), 0.99, 1000 * ms},
		{"pareto, too long", chaos.Pareto(time.Hour, 0.01), 0.999, math.MaxInt64},
		{"quantiles, below the first", measured, 0, 20 * ms},
		{"quantiles, at one", measured, 0.9, 40 * ms},
		{"quantiles, between", measured, 0.7, 30 * ms},
		{"quantiles, between", measured, 0.95, 1020 * ms},
		{"quantiles, above the last", chaos.Quantiles(map[float64]time.Duration{0.5: 20 * ms}), 0.9, 20 * ms},
		{"u below", chaos.Uniform(10*ms, 30*ms), -1, 10 * ms},
		{"u that is no number", chaos.Uniform(10*ms, 30*ms), math.NaN(), 10 * ms},
		{"u above", chaos.Uniform(10*ms, 30*ms), 2, 30 * ms},
		{"none", chaos.Distribution{}, 0.5, 0},
		{"a faulty one", chaos.Uniform(30*ms, 10*ms), 0.5, 0},
	} {
		require.InDelta(t, c.want, c.d.At(c.u), 10, "%s at %v", c.name, c.u)
		require.Equal(t, c.d.At(c.u), c.d.At(c.u))
	}
}

func TestLogNormalHasTheMeanThatItWasGiven(t *testing.T) {
	d := chaos.LogNormal(25*time.Millisecond, 0.8)
	var sum time.Duration
	const n = 100_000
	for k := range n {
		sum += d.At((float64(k) + 0.5) / n)
	}
	require.InEpsilon(t, 25*time.Millisecond, sum/n, 0.001)
}

func TestInjectedDelaysFollowTheirDistribution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Uniform(0, 1000)), Rate: 1})
		var tenths [10]int
		for range 10_000 {
			start := time.Now()
			require.NoError(t, do(t, i))
			tenths[time.Since(start)/100]++
		}
		for _, n := range tenths {
			require.InDelta(t, 1000, n, 120) // 4 standard deviations
		}
	})
}
