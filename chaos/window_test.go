package chaos_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
)

// hitAt tells at which of the times since arming a call is hit.
func hitAt(t *testing.T, f chaos.Fault, at ...time.Duration) (hits []time.Duration) {
	f.Name, f.Effect = "down", chaos.Error(nil)
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, f)
		start := time.Now()
		for _, at := range at {
			time.Sleep(at - time.Since(start))
			if hit(t, i) {
				hits = append(hits, at)
			}
		}
	})
	return hits
}

func TestAWindowHasItsBeginningAndNotItsEnd(t *testing.T) {
	require.Equal(t, []time.Duration{10, 19},
		hitAt(t, chaos.Fault{Rate: 1, From: 10, Until: 20}, 0, 9, 10, 19, 20, 1000))
	require.Equal(t, []time.Duration{10, time.Hour - 1},
		hitAt(t, chaos.Fault{Rate: 1, From: 10}, 0, 9, 10, time.Hour-1, time.Hour), "without Until it lasts to the end of the plan")
	require.Equal(t, []time.Duration{0, 19}, hitAt(t, chaos.Fault{Rate: 1, Until: 20}, 0, 19, 20))
}

func TestAWindowComesAgain(t *testing.T) {
	require.Equal(t, []time.Duration{10, 19, 110, 119, 1010},
		hitAt(t, chaos.Fault{Rate: 1, From: 10, Until: 20, Every: 100}, 9, 10, 19, 20, 109, 110, 119, 120, 1009, 1010, 1020))
	require.Equal(t, []time.Duration{10, 19, 20, 1000},
		hitAt(t, chaos.Fault{Rate: 1, From: 10, Until: 20, Every: 10}, 9, 10, 19, 20, 1000), "without a gap")
}

// sharesAt returns the share of 10,000 calls that are hit at each of the times.
func sharesAt(t *testing.T, f chaos.Fault, at ...time.Duration) (shares []float64) {
	f.Name, f.Effect = "down", chaos.Error(nil)
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, f)
		start := time.Now()
		for _, at := range at {
			time.Sleep(at - time.Since(start))
			hits := 0
			for range 10_000 {
				if hit(t, i) {
					hits++
				}
			}
			shares = append(shares, float64(hits)/10_000)
		}
	})
	return shares
}

func TestTheRateRampsUpAtTheBeginningOfEachWindow(t *testing.T) {
	f := chaos.Fault{Rate: 1, From: 100, Until: 300, Every: 1000, Ramp: 100}
	require.InDeltaSlice(t, []float64{0, 0, 0.5, 0.99, 1, 1, 0, 0, 0.5, 1},
		sharesAt(t, f, 99, 100, 150, 199, 200, 299, 300, 1100, 1150, 1200), 0.02)
	require.Equal(t, []float64{0, 1}, sharesAt(t, f, 100, 200), "the edges are exact")
	f = chaos.Fault{Rate: 0.4, Ramp: 100}
	require.InDeltaSlice(t, []float64{0, 0.2, 0.4, 0.4}, sharesAt(t, f, 0, 50, 100, 10_000), 0.02)
	f = chaos.Fault{Rate: 1, Until: 100, Ramp: 100}
	require.InDeltaSlice(t, []float64{0, 0.99, 0}, sharesAt(t, f, 0, 99, 100), 0.02)
}
