package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const stepWidth = int64(time.Second)

func window10s() *window { return newWindow(steps*time.Second, 0) }

func TestWindowForgetsACallBetween9And10StepsLater(t *testing.T) {
	for _, at := range []int64{0, 1, stepWidth / 2, stepWidth - 1} {
		w := window10s()
		w.add(at, true, true)
		one := tally{calls: 1, failures: 1, slow: 1}
		for now := at; now < 10*stepWidth; now += stepWidth / 4 {
			require.Equal(t, one, w.sum(now), "at %d, booked at %d", now, at)
		}
		require.Equal(t, one, w.sum(10*stepWidth-1))
		require.Zero(t, w.sum(10*stepWidth), "booked at %d", at)

		w = window10s()
		w.add(at, true, true)
		require.Equal(t, one, w.sum(9*stepWidth), "in one leap")
		w = window10s()
		w.add(at, true, true)
		require.Zero(t, w.sum(10*stepWidth), "in one leap")
	}
}

func TestWindowKeepsStepsApart(t *testing.T) {
	w := window10s()
	for i := range int64(10) {
		for range i + 1 {
			w.add(i*stepWidth, i%2 == 0, false)
		}
	}
	require.Equal(t, tally{calls: 55, failures: 25}, w.sum(9*stepWidth))
	require.Equal(t, tally{calls: 54, failures: 24}, w.sum(10*stepWidth), "the first has gone")
	require.Equal(t, tally{calls: 52, failures: 24}, w.sum(11*stepWidth))
	require.Equal(t, tally{calls: 40, failures: 16}, w.sum(14*stepWidth+stepWidth/2), "the first five, over a gap")
	require.Zero(t, w.sum(100*stepWidth))
	w.add(100*stepWidth, false, false)
	require.Equal(t, tally{calls: 1}, w.sum(100*stepWidth))
}

// Whoever read the clock before another goroutine slid on is booked in the present
// step; only a clock that went back further than anybody is late empties it.
func TestWindowTakesWhatIsLate(t *testing.T) {
	w := window10s()
	now := 10 * int64(time.Hour)
	w.add(now, true, false)
	w.add(now-1, true, false)
	w.add(now-int64(lateBy)+1, true, false)
	require.Equal(t, tally{calls: 3, failures: 3}, w.sum(now))
	require.Equal(t, tally{calls: 3, failures: 3}, w.slide(now).count.tally(), "another goroutine was faster")

	w.add(now-int64(lateBy), false, false)
	require.Equal(t, tally{calls: 1}, w.sum(now-int64(lateBy)), "a clock that went back")
}

// A call that finds the breaker free no more, and then free again, because its
// state was forced meanwhile, is admitted.
func TestACallThatWasOvertakenByForcedStatesIsAdmitted(t *testing.T) {
	b := MustNew(Config{})
	for _, s := range []State{ForcedClosed, Disabled} {
		b.force(s)
		got, refused := b.decide(t.Context())
		require.Nil(t, refused)
		require.Equal(t, s, got.phase.state)
	}
}
