package breaker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

// offer makes a call to one of nodes every 10 ms for d, each in one attempt, and
// returns how many were let through, and how many of those succeeded.
func offer(t *testing.T, g *breaker.Group, nodes []string, d time.Duration, fails func(node string) bool) (asked, through, succeeded int) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		asked++
		node, permit, err := g.Pick(t.Context(), nodes, nil)
		if err != nil {
			require.True(t, errors.Is(err, breaker.ErrShed) || errors.Is(err, breaker.ErrOpen), "%v", err)
			continue
		}
		through++
		if permit.Do(t.Context(), func(context.Context) error {
			if fails(node) {
				return errBoom
			}
			return nil
		}) == nil {
			succeeded++
		}
	}
	return asked, through, succeeded
}

func all(string) bool  { return true }
func none(string) bool { return false }

func TestCallsAreShedWhileAllMembersFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: &r}, Peers: &breaker.Peers{}})
		nodes := fleet(5)
		asked, through, succeeded := offer(t, g, nodes, 10*time.Second, none)
		require.Equal(t, []int{asked, asked}, []int{through, succeeded})
		require.Zero(t, g.Stats().Shedding)

		offer(t, g, nodes, 4*time.Second, all)
		asked, through, _ = offer(t, g, nodes, 60*time.Second, all)
		require.Less(t, through, asked/30, "about three in 3 s")
		require.Greater(t, through, 20)
		s := g.Stats()
		require.Greater(t, s.Shedding, 0.95)
		require.Greater(t, s.Shed, uint64(5000))
		require.LessOrEqual(t, len(openOf(g)), 1, "it comes instead of opening; the first to fail may have opened")

		var err error
		for err == nil { // one in a hundred is let through
			_, _, err = g.Pick(t.Context(), nodes, nil)
		}
		require.ErrorIs(t, err, breaker.ErrShed)
		require.NotErrorIs(t, err, breaker.ErrOpen)
		require.EqualError(t, err, "breaker: nodes is shedding load")
		require.True(t, steady.IsPermanent(err), "to draw again would undo it")
		refusal, ok := steady.AsRejection(err)
		require.True(t, ok)
		policy, name, key := refusal.RejectedBy()
		require.Equal(t, []string{"breaker", "nodes", ""}, []string{policy, name, key})
		_, known := refusal.RetryAfter()
		require.False(t, known)
		var seqs []uint64
		var states []string
		for _, e := range r.Events(steady.KindState) {
			if e.Key == "" {
				states, seqs = append(states, e.To), append(seqs, e.Seq)
			}
		}
		require.Equal(t, []string{"admitting", "shedding"}, states)
		require.Equal(t, []uint64{0, 1}, seqs)

		before := time.Now()
		for g.Stats().Shedding > 0 {
			offer(t, g, nodes, 100*time.Millisecond, none)
		}
		require.Less(t, time.Since(before), 15*time.Second, "twice as much goes through as succeeds, and again")
		asked, through, succeeded = offer(t, g, nodes, 10*time.Second, none)
		require.Equal(t, []int{asked, asked}, []int{through, succeeded})
	})
}

func TestDoIsShedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		refused := 0
		for range 1000 {
			for _, n := range fleet(3) {
				err := g.Do(t.Context(), n, func(context.Context) error { return errBoom })
				if errors.Is(err, breaker.ErrShed) {
					refused++
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		require.Greater(t, refused, 2500)
	})
}

// Few calls are no overload, and to shed of them would leave nothing to judge by.
func TestFewCallsAreNotShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		for range 500 {
			doKey(t, g, "a", 1, errBoom)
			time.Sleep(200 * time.Millisecond) // 15 in a tenth of Window
		}
		require.Zero(t, g.Stats().Shed)
	})
}

// With two of three nodes dead half of the calls fail, however few are made: what
// is shed is lost for nothing.
func TestNothingIsShedWhileOneMemberDoesWell(t *testing.T) {
	for _, dead := range []int{2, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			nodes := fleet(5)
			g := peerGroup(t, nodes)
			again := retry.MustNew(retry.Config{})
			fails := func(node string) bool { return slices.Contains(nodes[:dead], node) }
			time.Sleep(time.Minute)
			var shed, done atomic.Int64
			var calls sync.WaitGroup
			for range 6000 {
				calls.Go(func() {
					err := again.Do(t.Context(), func(ctx context.Context) error {
						node, permit, err := g.Pick(ctx, nodes, nil)
						if err != nil {
							return err
						}
						return permit.Do(ctx, func(context.Context) error {
							time.Sleep(20 * time.Millisecond)
							if fails(node) {
								return errBoom
							}
							return nil
						})
					})
					if errors.Is(err, breaker.ErrShed) {
						shed.Add(1)
					}
					if err == nil {
						done.Add(1)
					}
				})
				time.Sleep(5 * time.Millisecond)
			}
			calls.Wait()
			t.Logf("%d of 5 dead: %d of 6000 shed, %d succeeded", dead, shed.Load(), done.Load())
			require.Less(t, shed.Load(), int64(60))
		})
	}
}

// After an outage of all, one node alone is back: it must get its part again,
// although most calls still fail.
func TestSheddingEndsForOneMemberThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(5)
		g := peerGroup(t, nodes)
		offer(t, g, nodes, time.Minute, all)
		require.Greater(t, g.Stats().Shedding, 0.9)
		dead := func(node string) bool { return node != nodes[0] }
		// About six calls reach it in a Window; three have to, and sometimes do not.
		for began := time.Now(); g.Stats().Shedding > 0; offer(t, g, nodes, time.Second, dead) {
			require.Less(t, time.Since(began), 5*time.Minute)
		}
		asked, through, _ := offer(t, g, nodes, 10*time.Second, dead)
		require.Greater(t, through, asked*9/10)
	})
}

func TestADryRunOnlySaysWhatItWouldShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{DryRun: true, Hook: &r}, Peers: &breaker.Peers{}})
		asked, through, _ := offer(t, g, fleet(5), 20*time.Second, all)
		require.Equal(t, asked, through)
		require.Zero(t, g.Stats().Shed)
		var would int
		for _, e := range r.Events(steady.KindDryRun) {
			if e.Reason == "shedding" {
				would++
				require.ErrorIs(t, e.Err, breaker.ErrShed)
			}
		}
		require.Greater(t, would, asked/2)
	})
}

func TestShedAboveMayBeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{ShedAbove: breaker.Off}})
		asked, through, _ := offer(t, g, fleet(5), 20*time.Second, all)
		require.Equal(t, asked, through)
	})
}

func TestShedAboveIsTheShareThatMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, above := range []float64{0.2, 0.5, 0.8} {
			g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{ShedAbove: above, MinSuccess: 1}})
			n := 0
			// Every other call fails, on every node.
			asked, through, _ := offer(t, g, fleet(5), 20*time.Second, func(string) bool { n++; return n%2 == 0 })
			if above <= 0.4 {
				require.Less(t, through, asked/2)
			} else {
				require.Equal(t, asked, through, "%v", above)
			}
		}
	})
}
