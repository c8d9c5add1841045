package lab_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

// Neighbours in any of the arguments must not draw alike: seeds, requests and attempts
// are numbers that follow each other.
func TestDrawsAreUniformAndIndependent(t *testing.T) {
	const n, tenths = 20_000, 10
	for name, at := range map[string]func(uint64) float64{
		"seeds":    func(i uint64) float64 { return lab.Draw(i, 0, "retry", 1) },
		"requests": func(i uint64) float64 { return lab.Draw(1, i, "retry", 1) },
		"n":        func(i uint64) float64 { return lab.Draw(1, 1, "retry", i) },
		"keys":     func(i uint64) float64 { return lab.Draw(1, 1, string([]rune{rune(i)}), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			var count [tenths][tenths]float64 // of pairs of neighbours
			last := at(n + 1)
			for i := range uint64(n) {
				v := at(i)
				require.True(t, v >= 0 && v < 1)
				count[int(last*tenths)][int(v*tenths)]++
				last = v
			}
			const mean = float64(n) / tenths / tenths
			var chi2 float64
			for _, row := range count {
				for _, c := range row {
					chi2 += (c - mean) * (c - mean) / mean
				}
			}
			// Of 99 degrees of freedom: mean 99, standard deviation 14.
			require.InDelta(t, 99, chi2, 5*math.Sqrt(2*99))
		})
	}
	require.NotEqual(t, lab.Draw(1, 1, "a", 1), lab.Draw(1, 1, "b", 1))
}
