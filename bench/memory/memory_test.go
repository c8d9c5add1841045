package memory

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCacheHoldsWhatItWasGiven(t *testing.T) {
	const n = 20_000
	for _, l := range Libraries {
		c := l.Fill(n)
		require.InDelta(t, n, c.Len(), n/50, l.Name)
		c.Close()
	}
}

// A key and a value take 16 bytes.
func TestAnEntryTakesMoreThanItsKeyAndValue(t *testing.T) {
	for _, l := range Libraries {
		require.Greater(t, l.PerEntry(20_000), 16.0, l.Name)
	}
}
