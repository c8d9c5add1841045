package breaker_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadytest"
)

// A client that keeps the context's deadline itself, by SetDeadline on its
// connection, is a moment ahead of the context. Of callers with 2 ms left half were
// counted as failures, and opened the breaker for everybody.
func TestACallerWithLittleTimeIsIgnoredThoughItsClientIsAheadOfTheContext(t *testing.T) {
	b := breaker.MustNew(breaker.Config{})
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		err := b.Do(ctx, func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			for time.Now().Before(deadline) {
				continue
			}
			return os.ErrDeadlineExceeded
		})
		cancel()
		require.Error(t, err) // the context's own if it was done on entry
	}
	require.Zero(t, b.Stats().Failures)
}

// A call that an earlier phase had admitted, and that failed when its member was
// open, was taken for a member that found no room, and made another one probe.
func TestALateFailureMakesNoPeerProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		late := make([]*breaker.Permit, 6)
		for i := range late {
			var err error
			_, late[i], err = g.Pick(t.Context(), nodes[:1], nil)
			require.NoError(t, err)
		}
		doKey(t, g, nodes[1], 5, errBoom)
		doKey(t, g, nodes[0], 5, errBoom)
		time.Sleep(2 * time.Second)
		for _, p := range late {
			p.Done(errBoom)
		}
		require.Len(t, openOf(g), 2)
	})
}

// ramping returns a group in which the given node has just begun to ramp up.
func ramping(t *testing.T, node string) *breaker.Group {
	t.Helper()
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 2, Ramp: time.Hour}})
	doKey(t, g, node, 2, errBoom)
	time.Sleep(g.Get(node).Stats().RetryAfter)
	doKey(t, g, node, 2, nil)
	return g
}

// What a node that ramps up refuses went to its neighbour in the list, which got
// nearly double load.
func TestPickSpreadsWhatARampRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(3)
		g := ramping(t, nodes[0])
		picked := map[string]int{}
		for range 9000 {
			key, p, err := g.Pick(t.Context(), nodes, nil)
			require.NoError(t, err)
			p.Done(nil)
			picked[key]++
		}
		// Of the 3,000 calls that come to it the ramp admits a tenth.
		require.InDelta(t, 300, picked[nodes[0]], 105, "6 standard deviations")
		require.InDelta(t, picked[nodes[1]], picked[nodes[2]], 600)
	})
}

func TestPickAsksARampOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ramping(t, "only")
		admitted := 0
		for range 10000 {
			if _, p, err := g.Pick(t.Context(), []string{"only"}, nil); err == nil {
				p.Done(nil)
				admitted++
			}
		}
		require.InDelta(t, 1000, admitted, 180, "a tenth, within 6 standard deviations")
	})
}

func TestPickReturnsTheRejectionToWhichItPaysToComeBackSoonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ramping(t, "ramps")
		g.Get("forced").ForceOpen()
		doKey(t, g, "open", 2, errBoom)
		never := steady.ContextWithSource(t.Context(), constant(0.99))
		for _, test := range []struct {
			candidates []string
			says       string
		}{
			{[]string{"forced"}, "breaker: forced is forced-open"},
			{[]string{"forced", "open"}, "breaker: open is open"},
			{[]string{"forced", "open", "ramps"}, "breaker: ramps is closing slowly"},
		} {
			_, _, err := g.Pick(never, test.candidates, nil)
			require.EqualError(t, err, test.says)
		}
	})
}

// A member that was half-open for a window was dropped by a made-up key though it
// had just been called, and came back closed.
func TestAHalfOpenMemberThatIsCalledIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{
			Config:  breaker.Config{Window: 10 * time.Second, ConsecutiveFailures: 2, Probes: 20},
			MaxKeys: 1,
		})
		doKey(t, g, "a", 2, errBoom)
		time.Sleep(g.Get("a").Stats().RetryAfter)
		for range 7 {
			doKey(t, g, "a", 1, errBoom)
			time.Sleep(2 * time.Second)
		}
		doKey(t, g, "made-up", 1, nil)
		require.Equal(t, breaker.HalfOpen, g.Stats().Members["a"].State)
		time.Sleep(10 * time.Second)
		doKey(t, g, "made-up", 1, nil)
		require.NotContains(t, g.Stats().Members, "a")
	})
}

func TestAGroupMakesNoMemberForACallThatIsNotMade(t *testing.T) {
	var r steadytest.Recorder
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Hook: &r}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.Do(ctx, "a", ok), context.Canceled)
	require.Empty(t, g.Stats().Members)
	require.Len(t, r.Events(), 1)
}

func TestAGroupThatGetMadeTooLargeShrinksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: 10})
		for i := range 100 {
			g.Get(fmt.Sprint(i))
		}
		require.Len(t, g.Stats().Members, 100)
		time.Sleep(time.Hour)
		doKey(t, g, "new", 1, nil)
		require.Len(t, g.Stats().Members, 10)
	})
}

// A probe that outlived its lease has failed, but it has its place: no further one is
// admitted for it.
func TestAProbePastItsLeaseKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{})
		allow(t, b, 1) // never ended
		time.Sleep(time.Minute)
		allow(t, b, 2)
		requireRefuses(t, b)
		require.Equal(t, 2, b.Stats().Probes)
	})
}
