// Faults that were put in to see this test fail, each found in its first 100 examples:
//
// Planted: window.go: n < len(older) → after nine steps calls is 0, want 1
// Planted: window.go: next.start = now → calls is 1 an hour back from a step that began elsewhere, want 0
// Planted: window.go: copy from s.older[1:] → calls is 1 after a whole window, want 0
// Planted: window.go: case ahead < 0 without lateBy → an hour back calls is 1, want 0
// Planted: window.go: a step is how late anybody may be → a step back calls is 0, want 1
// Planted: window.go: sum reads the present step without sliding on → calls is 1, want 0
// Planted: window.go: at with <= w.width → the first moment of a step is taken for the one before
// Planted: window.go: slow calls count as failed → failures is 1, want 0

package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWindowFollowsItsModel compares a window with a list of all that was added to
// it, under a clock that goes on in steps small and large, and back.
func TestWindowFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.OneOf(
			rapid.SampledFrom([]time.Duration{time.Millisecond, 30 * time.Second, time.Hour}),
			rapid.Custom(func(t *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "any"))
			}),
		).Draw(t, "length")
		m := newWindowModel(length, time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "start")))
		w := newWindow(length, int64(m.now))
		actions := map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				want := m.sum()
				require.Equal(t, want, w.sum(int64(m.now)), "at %v", m.now)
				m.checkPromise(t, want)
			},
			"add": func(t *rapid.T) {
				e := windowEnd{failed: rapid.Bool().Draw(t, "failed"), slow: rapid.Bool().Draw(t, "slow")}
				for range rapid.IntRange(1, 3).Draw(t, "n") {
					m.add(e)
					w.add(int64(m.now), e.failed, e.slow)
				}
			},
			"small step": func(t *rapid.T) {
				m.now += time.Duration(rapid.Int64Range(1, int64(length/8)).Draw(t, "step"))
			},
			"whole steps": func(t *rapid.T) {
				sharp := rapid.SampledFrom([]time.Duration{0, -1, 1}).Draw(t, "sharp")
				m.now += m.width*time.Duration(rapid.IntRange(1, 12).Draw(t, "steps")) + sharp
			},
			"to the edge": func(t *rapid.T) { // of the present step
				sharp := rapid.SampledFrom([]time.Duration{0, -1, 1}).Draw(t, "sharp")
				m.now = m.grid + time.Duration(m.step+1)*m.width + sharp
			},
			"beyond the window": func(t *rapid.T) {
				m.now += length * time.Duration(rapid.IntRange(1, 50).Draw(t, "lengths"))
			},
			"decades on": func(t *rapid.T) {
				if m.now > 50*year {
					t.SkipNow()
				}
				m.now += year * time.Duration(rapid.IntRange(10, 30).Draw(t, "years"))
			},
			"a little back": func(t *rapid.T) {
				// As far as anybody may be late, from the first moment of the present step.
				late := rapid.SampledFrom([]time.Duration{1, m.width, length, time.Minute, lateBy - 1}).Draw(t, "late")
				m.now = max(m.now-late, m.grid+time.Duration(m.step)*m.width-lateBy+1)
			},
			"an hour back": func(*rapid.T) {
				m.now = m.grid + time.Duration(m.step)*m.width - lateBy
			},
			"decades back": func(t *rapid.T) {
				if m.now < -50*year {
					t.SkipNow()
				}
				m.now -= year * time.Duration(rapid.IntRange(10, 30).Draw(t, "years"))
			},
		}
		for range 3 { // about 90 actions
			t.Repeat(actions)
		}
	})
}

const year = 365 * 24 * time.Hour

// A windowModel is all that was added to a window since it was last emptied, with
// the tenth of the window in which each end is counted.
type windowModel struct {
	length, width time.Duration // of all, of a tenth
	grid          time.Duration // where the tenths begin
	step          int64         // the latest tenth that was seen
	now           time.Duration
	ends          []windowEnd
}

type windowEnd struct {
	at           time.Duration
	step         int64
	failed, slow bool
}

func newWindowModel(length, now time.Duration) *windowModel {
	return &windowModel{length: length, width: length / 10, grid: now, now: now}
}

// look takes note of the time: who is late is counted in the latest tenth, and a
// clock that has gone back by more than anybody is late empties the window.
func (m *windowModel) look() {
	if m.now <= m.grid+time.Duration(m.step)*m.width-lateBy {
		m.grid, m.step, m.ends = m.now, 0, nil
	}
	m.step = max(m.step, int64((m.now-m.grid)/m.width))
}

func (m *windowModel) add(e windowEnd) {
	m.look()
	e.at, e.step = m.now, m.step
	m.ends = append(m.ends, e)
}

func (m *windowModel) sum() (sum tally) {
	m.look()
	for _, e := range m.ends {
		if m.step-e.step < 10 {
			sum = sum.plus(e)
		}
	}
	return sum
}

func (n tally) plus(e windowEnd) tally {
	n.calls++
	if e.failed {
		n.failures++
	}
	if e.slow {
		n.slow++
	}
	return n
}

// checkPromise checks what Config.Window says: that a call counts for between 0.9
// and 1 Window after its end. While a clock is back, nobody can say how long after.
func (m *windowModel) checkPromise(t *rapid.T, sum tally) {
	least, most := tally{}, tally{}
	for _, e := range m.ends {
		if m.now < m.grid+time.Duration(m.step)*m.width || e.at < m.grid+time.Duration(e.step)*m.width {
			return
		}
		if m.now-e.at < 9*m.width {
			least = least.plus(e)
		}
		if m.now-e.at < 10*m.width {
			most = most.plus(e)
		}
	}
	require.LessOrEqual(t, least.calls, sum.calls, "of less than 0.9 of the window ago")
	require.GreaterOrEqual(t, most.calls, sum.calls, "of less than a window ago")
}
