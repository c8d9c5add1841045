package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A goroutine that had read the clock and was not scheduled for a while took the
// leases of all probes that had begun meanwhile, and far more than Probes ran.
// Planted: trial.go: expire compares with p.began, without lateBy → no probe runs.
func TestAClockThatWasReadLateEndsNoLease(t *testing.T) {
	trial := newTrial(1, time.Hour, 0.5)
	id, _ := trial.begin(int64(time.Minute))
	require.NotZero(t, id)
	require.Equal(t, 1, trial.underWay(0))
	id, _ = trial.begin(0)
	require.Zero(t, id, "its place is taken")
	require.Equal(t, 0, trial.underWay(int64(time.Minute-2*time.Hour)), "but one from another bubble does")
}
