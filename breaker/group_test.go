package breaker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadytest"
)

func doKey(t *testing.T, g *breaker.Group, key string, n int, err error) {
	t.Helper()
	for range n {
		require.ErrorIs(t, g.Do(t.Context(), key, func(context.Context) error { return err }), err)
	}
}

// fleet are the keys of n nodes.
func fleet(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("node-%d", i)
	}
	return keys
}

func peerGroup(t *testing.T, nodes []string) *breaker.Group {
	t.Helper()
	g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
	for _, n := range nodes {
		doKey(t, g, n, 20, nil)
	}
	return g
}

func openOf(g *breaker.Group) (keys []string) {
	for key, s := range g.Stats().Members {
		if s.State == breaker.Open {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestGroupKeepsKeysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "shards", ConsecutiveFailures: 3, Hook: &r}})
		doKey(t, g, "a", 3, errBoom)
		doKey(t, g, "b", 1, nil)
		require.EqualError(t, g.Do(t.Context(), "a", ok), "breaker: shards/a is open")
		require.Equal(t, breaker.Open, g.Get("a").State())
		require.Equal(t, breaker.Closed, g.Get("b").State())
		for _, e := range r.Events(steady.KindRejected) {
			require.Equal(t, []string{"shards", "a"}, []string{e.Name, e.Key})
		}
		r0 := r.Events(steady.KindState)[0]
		require.Equal(t, []string{"a", "", "closed"}, []string{r0.Key, r0.From, r0.To}, "a member tells its state when it is made")
	})
}

// A node that is gone, or a made-up key, was open when it was called last. It must
// not stay for ever, nor hold a place among the open ones.
func TestGroupForgetsWhatNobodyCallsAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 5}, MaxKeys: 10})
		for _, key := range fleet(10) {
			doKey(t, g, key, 5, errBoom)
		}
		time.Sleep(time.Hour)
		doKey(t, g, "new", 1, nil)
		require.Contains(t, g.Stats().Members, "new")
		require.Zero(t, g.Stats().Unguarded)

		nodes := fleet(10)
		peers := peerGroup(t, nodes)
		for _, gone := range []string{"gone-1", "gone-2", "gone-3"} {
			doKey(t, peers, gone, 5, errBoom)
		}
		require.Len(t, openOf(peers), 3)
		time.Sleep(time.Hour)
		for _, n := range nodes {
			doKey(t, peers, n, 20, nil)
		}
		doKey(t, peers, nodes[0], 5, errBoom)
		require.Equal(t, breaker.Open, peers.Get(nodes[0]).State())
	})
}

func TestGetMayGoBeyondMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: 1})
		doKey(t, g, "a", 1, nil)
		g.Get("bad").ForceOpen()
		require.ErrorIs(t, g.Do(t.Context(), "bad", ok), breaker.ErrOpen)
		doKey(t, g, "innocent", 100, errBoom)
		doKey(t, g, "innocent", 1, nil)
		require.Equal(t, uint64(101), g.Stats().Unguarded, "Get is not a call")
	})
}

// A hook drops events whose Seq is lower than the last seen from the same key. A
// member that was dropped and made again must not fall silent.
func TestSeqGoesOnWhenAMemberIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 1, Hook: &r}, MaxKeys: 1})
		for range 3 {
			doKey(t, g, "a", 1, errBoom)
			time.Sleep(time.Hour)
			doKey(t, g, "b", 1, nil)
			time.Sleep(time.Hour)
		}
		last := uint64(0)
		for _, e := range r.Events(steady.KindState) {
			if e.Key == "a" {
				require.True(t, last == 0 || e.Seq > last, "%+v", e)
				last = e.Seq
			}
		}
	})
}

// The window of a member and that of the group must slide in step: otherwise a
// member's own calls pass for those of its peers.
func TestPeersAreNotMistakenForTheMemberItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{ShedAbove: breaker.Off}})
		time.Sleep(time.Second)
		doKey(t, g, "only", 1, nil)
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			doKey(t, g, "only", 1, nil)
			doKey(t, g, "only", 5, errBoom)
			require.Empty(t, openOf(g))
		}
	})
}

func TestFailedProbesOpenAgainWhenPeersAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(5)
		g := peerGroup(t, nodes)
		doKey(t, g, nodes[0], 5, errBoom)
		time.Sleep(time.Minute)
		doKey(t, g, nodes[0], 2, errBoom)
		require.Equal(t, breaker.Open, g.Get(nodes[0]).State(), "no news is no reason to close")
	})
}

// recounted is after how long a group counts its room again.
const recounted = 100 * time.Millisecond

// A member that is well again but still open must not hold the place of one that
// is not.
func TestAnOpenMemberProbesEarlyWhenItsPlaceIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		for _, n := range nodes[:3] {
			doKey(t, g, n, 5, errBoom)
		}
		time.Sleep(6100 * time.Millisecond)
		for _, n := range nodes[:3] {
			doKey(t, g, n, 2, errBoom)
		}
		require.Len(t, openOf(g), 3, "for another 10 s")
		doKey(t, g, nodes[3], 5, errBoom)
		require.Len(t, openOf(g), 3)
		time.Sleep(time.Second - time.Nanosecond)
		doKey(t, g, nodes[3], 1, errBoom)
		require.Len(t, openOf(g), 3, "none was open for a fifth of OpenFor")
		time.Sleep(recounted)
		doKey(t, g, nodes[3], 1, errBoom)
		require.Len(t, openOf(g), 2, "the oldest probes")
		for _, n := range nodes[:3] {
			if g.Get(n).State() == breaker.HalfOpen {
				doKey(t, g, n, 2, nil)
			}
		}
		doKey(t, g, nodes[3], 1, errBoom)
		require.Equal(t, breaker.Open, g.Get(nodes[3]).State())
	})
}

func TestPeersOpenTheOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		doKey(t, g, nodes[0], 5, errBoom)
		require.Equal(t, []string{nodes[0]}, openOf(g))
	})
}

func TestPeersOpenNoMoreThanTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		for _, n := range nodes[:4] {
			doKey(t, g, n, 5, errBoom)
		}
		require.Len(t, openOf(g), 3)
		require.Equal(t, breaker.Closed, g.Get(nodes[3]).State())

		g.Get(nodes[0]).Reset()
		doKey(t, g, nodes[3], 1, errBoom)
		require.Equal(t, breaker.Open, g.Get(nodes[3]).State(), "there is room again")
	})
}

func TestOneOfAFewPeersMayAlwaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(2)
		g := peerGroup(t, nodes)
		doKey(t, g, nodes[0], 5, errBoom)
		require.Equal(t, []string{nodes[0]}, openOf(g))
		doKey(t, g, nodes[1], 30, errBoom)
		require.Equal(t, []string{nodes[0]}, openOf(g), "the last one stays")
	})
}

func TestPeersStayClosedWhenAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		for range 50 {
			for _, n := range nodes {
				doKey(t, g, n, 1, errBoom)
			}
		}
		require.Empty(t, openOf(g), "an overload must not be made worse")
	})
}

func TestASingleKeyHasNoPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		doKey(t, g, "only", 100, errBoom)
		require.Empty(t, openOf(g))
	})
}

func TestAPeerWhoseProbesFailClosesWhenAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(3)
		g := peerGroup(t, nodes)
		doKey(t, g, nodes[0], 5, errBoom)
		require.Equal(t, []string{nodes[0]}, openOf(g))
		time.Sleep(31 * time.Second)
		for _, n := range nodes[1:] {
			doKey(t, g, n, 10, errBoom)
		}
		doKey(t, g, nodes[0], 2, errBoom)
		require.Equal(t, breaker.Closed, g.Get(nodes[0]).State(), "now the fault is not its own")
	})
}

func TestPickAvoidsWhatIsTriedAndWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(4)
		g := breaker.MustNewGroup(breaker.GroupConfig{})
		g.Get(nodes[1]).ForceOpen()
		picked := map[string]int{}
		for range 1000 {
			key, p, err := g.Pick(t.Context(), nodes, nodes[:1])
			require.NoError(t, err)
			p.Done(nil)
			picked[key]++
		}
		require.Len(t, picked, 2)
		require.InDelta(t, 500, picked[nodes[2]], 100, "evenly: 6 standard deviations")
	})
}

func TestPickTakesATriedOneWhenNoOtherIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(2)
		g := breaker.MustNewGroup(breaker.GroupConfig{})
		g.Get(nodes[1]).ForceOpen()
		key, p, err := g.Pick(t.Context(), nodes, nodes[:1])
		require.NoError(t, err)
		require.Equal(t, nodes[0], key)
		p.Done(nil)
	})
}

func TestPickRefusesWhenAllAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		nodes := fleet(3)
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 1, Hook: &r}})
		g.Get(nodes[0]).ForceOpen()
		doKey(t, g, nodes[1], 1, errBoom)
		time.Sleep(3 * time.Second)
		doKey(t, g, nodes[2], 1, errBoom)
		r.Reset()

		_, p, err := g.Pick(t.Context(), nodes, nil)
		require.Nil(t, p)
		require.ErrorIs(t, err, breaker.ErrOpen)
		after, known := steady.RetryAfterOf(err)
		require.True(t, known)
		require.Equal(t, g.Get(nodes[1]).Stats().RetryAfter, after, "that of the first to probe")
		require.Len(t, r.Events(), 1)
		require.Equal(t, steady.KindRejected, r.Events()[0].Kind)

		time.Sleep(after)
		key, p, err := g.Pick(t.Context(), nodes, nil)
		require.NoError(t, err)
		require.Equal(t, nodes[1], key, "it probes now")
		p.Done(nil)
	})
}

func TestPickWithoutCandidates(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig{})
	_, _, err := g.Pick(t.Context(), nil, nil)
	require.ErrorIs(t, err, breaker.ErrNoCandidate)
	require.NotErrorIs(t, err, breaker.ErrOpen)
	_, rejected := steady.AsRejection(err)
	require.True(t, rejected)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = g.Pick(ctx, fleet(1), nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestPickedPermitHoldsItsMember(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig{})
	key, p, err := g.Pick(t.Context(), fleet(1), nil)
	require.NoError(t, err)
	require.Equal(t, 1, g.Stats().Members[key].InFlight)
	p.Done(nil)
	p.Done(nil)
	require.Zero(t, g.Stats().Members[key].InFlight)
}
