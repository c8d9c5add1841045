package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCallsUnderWayAreCountedByTheirStart(t *testing.T) {
	const s = int64(time.Second)
	u := newUnderWay(8*time.Second, 0) // cohorts of a second
	begin := func(now int64, wantFirst bool) func() {
		t.Helper()
		running, first := u.begin(now)
		require.Equal(t, wantFirst, first, "the first of a cohort at %v", time.Duration(now))
		return func() { running.Add(-1) }
	}
	begin(0, false)
	begin(s-1, false)
	begin(s, true)()
	begin(s+1, false)()
	require.Zero(t, u.overdue(9*s-1))
	require.Equal(t, int64(2), u.overdue(9*s), "all that started before 1s")

	for i := int64(2); i <= 100; i++ {
		begin(i*s, true)()
	}
	require.Equal(t, int64(2), u.overdue(100*s))
	require.Len(t, u.present.Load().older, cohorts+1, "the young ones, and the one of which calls still run")
	begin(200*s, true)
	require.Len(t, u.present.Load().older, 2, "it, and the last")
	require.Equal(t, int64(2), u.overdue(209*s-1))
	require.Equal(t, int64(3), u.overdue(209*s), "the present one is old enough too")

	begin(200*s-1, false)
	begin(200*s-int64(lateBy)+1, false)
	require.Equal(t, int64(5), u.overdue(209*s), "a clock that was read late")
	begin(200*s-int64(lateBy), true)
	require.Empty(t, u.present.Load().older, "a clock that went back")
}

func TestCohortsHaveAWidth(t *testing.T) {
	u := newUnderWay(1, 0)
	_, first := u.begin(0)
	require.False(t, first)
	_, first = u.begin(1)
	require.True(t, first)
}
