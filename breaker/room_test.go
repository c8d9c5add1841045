package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
)

func TestAMemberIsIdleAfterAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: 1})
		g.Get("idle")
		time.Sleep(30*time.Second - 1)
		doKey(t, g, "new", 1, nil)
		require.Contains(t, g.Stats().Members, "idle")
		time.Sleep(time.Nanosecond)
		doKey(t, g, "new", 1, nil)
		require.NotContains(t, g.Stats().Members, "idle")
		require.Contains(t, g.Stats().Members, "new")
	})
}

// To look at all members on each call with a made-up key would slow down the real
// ones. So a single idle one of a thousand is seldom found: never in ten groups is
// beyond chance.
func TestRoomIsLookedForAmongAFewMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, unguarded := fleet(1000), uint64(0)
		for range 10 {
			g := breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: len(nodes)})
			doKey(t, g, nodes[0], 1, nil)
			time.Sleep(time.Minute)
			for _, n := range nodes[1:] {
				doKey(t, g, n, 1, nil)
			}
			doKey(t, g, "new", 1, nil)
			unguarded += g.Stats().Unguarded
		}
		require.NotZero(t, unguarded)
	})
}

func TestGroupCountsAllPanicsOfTheHook(t *testing.T) {
	bad := steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Hook: bad}, MaxKeys: 1})
	doKey(t, g, "a", 1, nil) // the group itself, its first state, and the call
	require.Equal(t, uint64(3), g.Stats().HookPanics)
	doKey(t, g, "surplus", 3, nil)
	require.Equal(t, uint64(6), g.Stats().HookPanics)
	_, _, err := g.Pick(t.Context(), nil, nil)
	require.ErrorIs(t, err, breaker.ErrNoCandidate)
	require.Equal(t, uint64(7), g.Stats().HookPanics)
}

// Whether there is room among the open ones is counted again a while after there
// was none, or when a member changes its state.
func TestRoomAmongPeersIsCountedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(14)
		g := peerGroup(t, nodes[:10])
		for _, n := range nodes[:4] {
			doKey(t, g, n, 5, errBoom)
		}
		require.Len(t, openOf(g), 3)
		for _, n := range nodes[10:] {
			doKey(t, g, n, 20, nil)
		}
		doKey(t, g, nodes[3], 1, errBoom)
		time.Sleep(recounted - 1)
		doKey(t, g, nodes[3], 1, errBoom)
		require.Len(t, openOf(g), 3, "counted a moment ago")
		time.Sleep(time.Nanosecond)
		doKey(t, g, nodes[3], 1, errBoom)
		require.Len(t, openOf(g), 4, "four of fourteen")
	})
}

func TestQuietMembersDoNotCountAsPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(20)
		g := peerGroup(t, nodes[:10])
		for _, quiet := range nodes[10:] {
			g.Get(quiet)
		}
		for _, n := range nodes[:5] {
			doKey(t, g, n, 5, errBoom)
		}
		require.Len(t, openOf(g), 3, "three of ten that are called")
	})
}

func TestTheLongestOpenMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		for _, n := range nodes[:3] {
			doKey(t, g, n, 5, errBoom)
			time.Sleep(time.Second)
		}
		require.Len(t, openOf(g), 3)
		doKey(t, g, nodes[3], 5, errBoom)
		require.Equal(t, breaker.HalfOpen, g.Get(nodes[0]).State())
		require.ElementsMatch(t, nodes[1:3], openOf(g))
	})
}

func TestAFifthOfOpenForIsEnoughToMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(10)
		g := peerGroup(t, nodes)
		for _, n := range nodes[:3] {
			doKey(t, g, n, 5, errBoom)
		}
		time.Sleep(time.Second)
		doKey(t, g, nodes[3], 5, errBoom)
		require.Len(t, openOf(g), 2)
	})
}

// Whether a member may open depends on how calls to the others went. Their probes
// are calls, too, unless they are ignored.
func TestProbesCountAmongPeers(t *testing.T) {
	for name, test := range map[string]struct {
		probe func(t *testing.T, g *breaker.Group)
		want  breaker.State
	}{
		"success": {func(t *testing.T, g *breaker.Group) { doKey(t, g, "node-0", 2, nil) }, breaker.Open},
		"failure": {func(t *testing.T, g *breaker.Group) { doKey(t, g, "node-0", 1, errBoom) }, breaker.Closed},
		"ignored": {func(t *testing.T, g *breaker.Group) {
			ctx, cancel := context.WithCancel(t.Context())
			err := g.Do(ctx, "node-0", func(context.Context) error { cancel(); return errBoom })
			require.ErrorIs(t, err, errBoom)
		}, breaker.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := peerGroup(t, fleet(2))
				doKey(t, g, "node-0", 5, errBoom)
				time.Sleep(time.Minute) // nothing is left in the window
				test.probe(t, g)
				g.Get("node-0").Reset() // leaves its place
				doKey(t, g, "node-1", 5, errBoom)
				require.Equal(t, test.want, g.Get("node-1").State())
			})
		})
	}
}

func TestPeersThatJustSucceedOftenEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		doKey(t, g, "b", 9, nil)
		doKey(t, g, "b", 1, errBoom)
		doKey(t, g, "a", 5, errBoom)
		require.Equal(t, breaker.Open, g.Get("a").State(), "0.9 of the others succeed")
		time.Sleep(g.Get("a").Stats().RetryAfter)
		doKey(t, g, "a", 2, errBoom)
		require.Equal(t, breaker.Open, g.Get("a").State(), "and still do")
	})
}

// Of ten members three may be open. That two of the others fail too is no reason to keep a
// third one that fails.
func TestTheWorstPeersAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			doKey(t, g, key, 10, nil)
		}
		for _, key := range []string{"x", "y", "z"} {
			doKey(t, g, key, 5, errBoom)
			require.Equal(t, breaker.Open, g.Get(key).State(), key)
		}
	})
}

// In an overload a part of the calls fails wherever they go: no member is at fault.
func TestAnOverloadOpensNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
		for range 4 {
			for _, key := range keys {
				doKey(t, g, key, 15, nil)
				time.Sleep(200 * time.Millisecond) // long enough to look at the others anew
				doKey(t, g, key, 5, errBoom)
			}
		}
		for _, key := range keys {
			require.Equal(t, breaker.Closed, g.Get(key).State(), key)
		}
	})
}

// Where all may be open, the best of the others still tells.
func TestWhereAllMayBeOpenTheBestPeerIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{MaxOpenShare: 1}})
		doKey(t, g, "a", 10, nil)
		for _, key := range []string{"x", "y"} {
			doKey(t, g, key, 5, errBoom)
			require.Equal(t, breaker.Open, g.Get(key).State(), key)
		}
	})
}
