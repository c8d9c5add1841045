package chaos

import (
	"context"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A seed that is written in a report must hit the same calls in later versions: these
// numbers must not change.
func TestDrawsAreTheSameInLaterVersions(t *testing.T) {
	for _, c := range []struct {
		seed                     uint64
		purpose, injector, fault string
		n                        uint64
		want                     float64
	}{
		{0, "chaos", "", "down", 0, 0.3508531986648701},
		{0, "chaos", "", "down", 1, 0.8369629447380695},
		{1, "chaos", "db", "down", 0, 0.8953706804310718},
		{1, "chaos.delay", "db", "down", 0, 0.9885631095199847},
		{math.MaxUint64, "chaos", "db", "zwölf", math.MaxUint64, 0.5353356380902824},
	} {
		require.Equal(t, c.want, newStream(c.seed, c.purpose, c.injector, c.fault).at(c.n), "%+v", c)
	}
}

func TestNamesDoNotRunTogether(t *testing.T) {
	require.NotEqual(t, newStream(1, "chaos", "a", "bc").base, newStream(1, "chaos", "ab", "c").base)
}

// ordinals returns which of 6,400 calls are hit, by the numbers under which they draw.
func ordinals(t *testing.T, seed uint64, goroutines int) (all []int) {
	i := MustNew(Config{Seed: seed, Faults: []Fault{{Name: "down", Effect: Error(nil), Rate: 0.2}}})
	require.NoError(t, i.Arm(time.Hour))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range 6400 / goroutines {
				n, hit := i.plan.Load().draws(context.Background(), &i.rules[0], inDo, strconv.Itoa(g), 0)
				if hit {
					mu.Lock()
					all = append(all, int(n))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all
}

func TestTheSameOrdinalsAreHitWhateverTheNumberOfGoroutines(t *testing.T) {
	for seed := range uint64(5) {
		one := ordinals(t, seed, 1)
		require.InDelta(t, 1280, len(one), 128)
		require.Equal(t, one, ordinals(t, seed, 64))
	}
}

// correlation returns that of two rows of numbers.
func correlation(a, b []float64) float64 {
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		sa, sb, saa, sbb, sab = sa+a[i], sb+b[i], saa+a[i]*a[i], sbb+b[i]*b[i], sab+a[i]*b[i]
	}
	n := float64(len(a))
	return (sab - sa*sb/n) / math.Sqrt((saa-sa*sa/n)*(sbb-sb*sb/n))
}

const many = 100_000

func row(s stream, lag uint64) []float64 {
	all := make([]float64, many)
	for n := range all {
		all[n] = s.at(uint64(n) + lag)
	}
	return all
}

func TestDrawsAreUniform(t *testing.T) {
	for seed := range uint64(20) {
		var buckets [100]int
		for _, u := range row(newStream(seed, "chaos", "", "down"), 0) {
			if u < 0 || u >= 1 {
				t.Fatalf("%v is not in [0, 1)", u)
			}
			buckets[int(u*100)]++
		}
		chi := 0.0
		for _, n := range buckets {
			chi += float64(n-many/100) * float64(n-many/100) / (many / 100)
		}
		require.InDelta(t, 99, chi, 4*math.Sqrt(2*99), "chi squared of 99 degrees, seed %d", seed)
	}
}

func TestDrawsAreIndependent(t *testing.T) {
	own := newStream(1, "chaos", "db", "f1")
	a := row(own, 0)
	for name, b := range map[string][]float64{
		"the next draw":    row(own, 1),
		"another fault":    row(newStream(1, "chaos", "db", "f2"), 0),
		"another injector": row(newStream(1, "chaos", "dc", "f1"), 0),
		"the next seed":    row(newStream(2, "chaos", "db", "f1"), 0),
		"the delay":        row(newStream(1, "chaos.delay", "db", "f1"), 0),
	} {
		require.InDelta(t, 0, correlation(a, b), 4/math.Sqrt(many), name)
	}
}
