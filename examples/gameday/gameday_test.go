package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/labtest"
)

// seeds is how many seeds are run: 20, and two under the race detector, which looks for
// races and not for tails, and is ten times slower.
func seeds() labtest.Option {
	if race {
		return labtest.Seeds(2)
	}
	return labtest.Seeds(20)
}

// TestGallery runs the whole gallery in virtual time. One of it:
//
//	go test ./examples/gameday -run TestGallery/hang -v
func TestGallery(t *testing.T) {
	for _, x := range gallery {
		t.Run(x.name, func(t *testing.T) { labtest.Test(t, x.experiment(), seeds()) })
	}
}

// In half a minute it might only seem so.
func TestARetryStormOutlivesItsTriggerByMinutes(t *testing.T) {
	if race {
		t.Skip("this code runs under -race in TestGallery")
	}
	e := retryStorm()
	e.Recovery = 5 * time.Minute
	r := labtest.Test(t, e, labtest.Seeds(4))
	require.Equal(t, r.Control.Recovery.Runs, r.Control.Recovery.Never)
	after := r.Control.Phases[len(r.Control.Phases)-1]
	require.Equal(t, lab.PhaseRecovery, after.Phase)
	require.Zero(t, after.OK)
	require.InDelta(t, 4, after.Amplification, 0.01)
}

func TestExperimentsAreNamedAsTheirExhibitsAndTakeHalfAMinuteAtMost(t *testing.T) {
	for _, x := range gallery {
		e := x.experiment()
		require.NoError(t, e.Check())
		require.Equal(t, x.name, e.Name)
		require.NotEmpty(t, x.about)
		require.LessOrEqual(t, e.Warmup+e.Baseline+e.Fault+e.Recovery, 30*time.Second, x.name)
		require.NotNil(t, e.Control, x.name)
	}
}
