package chaos_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

const million = 1_000_000

// hits counts the calls of a million that are hit; each natural-th of those that are made
// fails by itself.
func hits(t *testing.T, rate float64, natural int) int {
	i := injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: rate})
	n, made := 0, 0
	call := func(context.Context) error {
		if made++; natural > 0 && made%natural == 0 {
			return errNatural
		}
		return nil
	}
	ctx := t.Context()
	for range million {
		if err := i.Do(ctx, call); err != nil && err != errNatural {
			n++
		}
	}
	require.Equal(t, million, n+made)
	return n
}

func TestRates(t *testing.T) {
	require.Zero(t, hits(t, 0, 0))
	require.Equal(t, million, hits(t, 1, 0))
	for _, natural := range []int{0, 1, 3} { // none, all, a third
		require.InDelta(t, 200_000, hits(t, 0.2, natural), 1600, "4 standard deviations")
	}
}

func TestTheSeedDecidesWhichCallsAreHit(t *testing.T) {
	which := func(seed uint64, name, fault string) (all []int) {
		i := armed(t, chaos.Config{Name: name, Seed: seed, Faults: []chaos.Fault{{Name: fault, Effect: chaos.Error(nil), Rate: 0.2}}}, time.Hour)
		for n := range 100 {
			if hit(t, i) {
				all = append(all, n)
			}
		}
		return all
	}
	first := which(1, "db", "down")
	require.Equal(t, first, which(1, "db", "down"))
	require.NotEqual(t, first, which(2, "db", "down"))
	require.NotEqual(t, first, which(1, "cache", "down"))
	require.NotEqual(t, first, which(1, "db", "hang"))
}

// source is the source of one request, as an experiment gives one to each.
type source uint64

var hashSeed = maphash.MakeSeed()

func (s source) Float64(key string, n uint64) float64 {
	return float64(maphash.String(hashSeed, fmt.Sprint(uint64(s), key, n))>>11) / (1 << 53)
}

// outcomes tells which requests are hit, by number, attempt and key.
func outcomes(t *testing.T, i *chaos.Injector, order []int) []string {
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for _, request := range order {
		wg.Go(func() {
			ctx := steady.ContextWithSource(context.Background(), source(request))
			for attempt := 1; attempt <= 3; attempt++ {
				if attempt > 1 {
					ctx = steady.ContextWithAttempt(ctx, attempt)
				}
				for _, key := range []string{"a", "b"} {
					if i.At(key).Do(ctx, fixed) != nil {
						mu.Lock()
						all = append(all, fmt.Sprint(request, attempt, key))
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all
}

func TestWithASourceARequestDrawsTheSameWhateverTheOrder(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 0.2})
	order := make([]int, 500)
	for n := range order {
		order[n] = n
	}
	forward := outcomes(t, i, order)
	require.InDelta(t, 600, len(forward), 100)
	slices.Reverse(order)
	require.Equal(t, forward, outcomes(t, i, order))
	other := armed(t, chaos.Config{Name: "other", Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 0.2}}}, time.Hour)
	require.NotEqual(t, forward, outcomes(t, other, order))
}

func TestADrawThatEqualsTheRateIsNoHit(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 0.5})
	require.NoError(t, i.Do(steady.ContextWithSource(t.Context(), fixedSource(0.5)), fixed))
	require.Error(t, i.Do(steady.ContextWithSource(t.Context(), fixedSource(0.4999)), fixed))
}

// fixedSource always draws the same.
type fixedSource float64

func (s fixedSource) Float64(string, uint64) float64 { return float64(s) }

// keys is a source that notes what it is asked for.
type keys struct{ asked *[]string }

func (k keys) Float64(key string, n uint64) float64 {
	*k.asked = append(*k.asked, fmt.Sprint(key, " ", n))
	return 0
}

func TestDecisionsAndDelaysDrawUnderDifferentKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := armed(t, chaos.Config{Name: "db", Faults: []chaos.Fault{
			{Name: "slow", Effect: chaos.Latency(chaos.Uniform(0, time.Second)), Rate: 0.5},
			{Name: "slower", Effect: chaos.Latency(chaos.Uniform(0, time.Second)), Rate: 0.5},
		}}, time.Hour)
		var asked []string
		ctx := steady.ContextWithAttempt(steady.ContextWithSource(t.Context(), keys{&asked}), 2)
		require.NoError(t, i.At("node").Do(ctx, fixed))
		require.Equal(t, []string{
			"chaos:db:slow:node 2", "chaos.delay:db:slow:node 2",
			"chaos:db:slower:node 2", "chaos.delay:db:slower:node 2",
		}, slices.Compact(asked))
	})
}

// If a delay drew the number by which the decision fell, a fault with a rate of 0.1 would
// have short delays only.
func TestDelaysDoNotDependOnDecisions(t *testing.T) {
	for _, sourced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var r steadytest.Recorder
			i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{{Name: "slow", Effect: chaos.Latency(chaos.Uniform(0, 1000)), Rate: 0.1}}}, time.Hour)
			ctx := t.Context()
			for n := range 20_000 {
				if sourced {
					ctx = steady.ContextWithSource(t.Context(), source(n))
				}
				require.NoError(t, i.Do(ctx, fixed))
			}
			var sum time.Duration
			all := r.Events(steady.KindInjected)
			for _, e := range all {
				sum += e.Delay
			}
			require.InDelta(t, 500, int(sum)/len(all), 30)
		})
	}
}
