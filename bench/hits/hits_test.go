package hits

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATraceIsTheSameEachTime(t *testing.T) {
	for _, trace := range Traces {
		first := slices.Collect(trace.Requests())
		require.Len(t, first, requests, trace.Name)
		require.Equal(t, first, slices.Collect(trace.Requests()), trace.Name)
	}
}

// share returns what share of the requests ask for a key for which is holds.
func share(all []uint64, is func(uint64) bool) float64 {
	n := 0
	for _, key := range all {
		if is(key) {
			n++
		}
	}
	return float64(n) / float64(len(all))
}

func TestTracesAreWhatTheySay(t *testing.T) {
	of := func(n int) []uint64 { return slices.Collect(Traces[n].Requests()) }
	// 1 ÷ the sum of 1/n^0.8 and of 1/n up to 100,000.
	require.InDelta(t, 1/45.6, share(of(0), func(key uint64) bool { return key == 0 }), 0.001)
	require.InDelta(t, 1/12.09, share(of(1), func(key uint64) bool { return key == 0 }), 0.001)
	require.InDelta(t, 0.2, share(of(2), func(key uint64) bool { return key >= keys }), 0.002)
	moving := of(3)
	for phase := range 10 {
		part := moving[phase*requests/10 : (phase+1)*requests/10]
		require.InDelta(t, 1/12.09, share(part, func(key uint64) bool { return key == uint64(phase*(keys/7))%keys }), 0.005)
	}
}

// The whole traces are compared by make compare.
func TestThisLibraryIsNotBehindOtter(t *testing.T) {
	for _, trace := range Traces {
		trace = trace.First(30_000) // as below
		require.Greater(t, library(t, "steady").Ratio(trace), library(t, "otter").Ratio(trace)-0.02, trace.Name)
	}
}

func library(t *testing.T, name string) Library {
	n := slices.IndexFunc(Libraries, func(l Library) bool { return l.Name == name })
	require.GreaterOrEqual(t, n, 0, name)
	return Libraries[n]
}

// No cache can know more than which keys are asked for most, if that does not change.
func TestNoCacheIsBetterThanItCanBe(t *testing.T) {
	for _, trace := range Traces[:3] {
		trace = trace.First(30_000) // some libraries need minutes for a million under the race detector
		best := share(slices.Collect(trace.Requests()), func(key uint64) bool { return key < Room })
		for _, library := range Libraries {
			ratio := library.Ratio(trace)
			require.Less(t, ratio, best+0.01, "%s on %s: more room than the others?", library.Name, trace.Name)
			require.Greater(t, ratio, best/2, "%s on %s", library.Name, trace.Name)
		}
	}
}
