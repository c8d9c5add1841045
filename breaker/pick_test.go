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

// meanwhile is a source that does something whenever a number is drawn.
type meanwhile struct {
	draw float64
	do   func()
}

func (m meanwhile) Float64(string, uint64) float64 { m.do(); return m.draw }

func TestPickPassesOverWhatOpensMeanwhile(t *testing.T) {
	nodes := fleet(3)
	for _, draw := range []float64{0, 0.5, 0.99} {
		g := breaker.MustNewGroup(breaker.GroupConfig{})
		ctx := steady.ContextWithSource(t.Context(), meanwhile{draw, func() {
			g.Get(nodes[0]).ForceOpen()
			g.Get(nodes[2]).ForceOpen()
		}})
		key, p, err := g.Pick(ctx, nodes, nil)
		require.NoError(t, err, "draw %v", draw)
		require.Equal(t, nodes[1], key, "draw %v", draw)
		p.Done(nil)
	}
}

func TestPickRefusesWhenAllOpenMeanwhile(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig{})
	ctx := steady.ContextWithSource(t.Context(), meanwhile{0, func() { g.Get("a").ForceOpen() }})
	_, p, err := g.Pick(ctx, []string{"a"}, nil)
	require.Nil(t, p)
	require.ErrorIs(t, err, breaker.ErrOpen)
}

// halfOpenMember returns a group of which "a" is half-open.
func halfOpenMember(t *testing.T, c breaker.Config) *breaker.Group {
	t.Helper()
	c.ConsecutiveFailures = 1
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: c})
	doKey(t, g, "a", 1, errBoom)
	time.Sleep(g.Get("a").Stats().RetryAfter)
	require.Equal(t, breaker.HalfOpen, g.Get("a").State())
	return g
}

func TestPickTakesAHalfOpenMemberWhileItHasPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpenMember(t, breaker.Config{Probes: 2})
		var probes []*breaker.Permit
		for range 2 {
			_, p, err := g.Pick(t.Context(), []string{"a"}, nil)
			require.NoError(t, err)
			probes = append(probes, p)
		}
		_, _, err := g.Pick(t.Context(), []string{"a"}, nil)
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.EqualError(t, err, "breaker: a is half-open")
		key, p, err := g.Pick(t.Context(), []string{"a", "b"}, []string{"b"})
		require.NoError(t, err)
		require.Equal(t, "b", key, "rather one that was tried")
		p.Done(nil)

		probes[0].Cancel()
		key, _, err = g.Pick(t.Context(), []string{"a", "b"}, []string{"b"})
		require.NoError(t, err)
		require.Equal(t, "a", key)
	})
}

func TestPickPassesOverAMemberThatItsRampKeepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpenMember(t, breaker.Config{Probes: 1})
		doKey(t, g, "a", 1, nil)
		require.Equal(t, breaker.Closed, g.Get("a").State())

		ctx := steady.ContextWithSource(t.Context(), constant(0.9))
		key, p, err := g.Pick(ctx, []string{"b", "a"}, nil)
		require.NoError(t, err)
		require.Equal(t, "b", key)
		p.Done(nil)
		require.Zero(t, g.Get("a").Stats().InFlight)

		_, _, err = g.Pick(ctx, []string{"a"}, nil)
		require.EqualError(t, err, "breaker: a is closing slowly")
		require.Zero(t, g.Get("a").Stats().InFlight)
	})
}

func TestAGroupInAChainFindsTheKeyInTheContext(t *testing.T) {
	type tenant struct{}
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 1}})
	by := g.By(func(ctx context.Context) string { return ctx.Value(tenant{}).(string) })
	bad := context.WithValue(t.Context(), tenant{}, "bad")
	good := context.WithValue(t.Context(), tenant{}, "good")
	chain := steady.Chain(by)
	require.ErrorIs(t, chain.Do(bad, fail), errBoom)
	require.ErrorIs(t, chain.Do(bad, ok), breaker.ErrOpen)
	require.NoError(t, chain.Do(good, ok))
	require.PanicsWithValue(t, "breaker: By: key is nil", func() { g.By(nil) })
}

// A group with no member that could make room looks at a few of them only.
func TestAFullGroupOfBusyMembersMakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(20)
		g := breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: len(nodes)})
		for _, n := range nodes {
			doKey(t, g, n, 1, nil)
		}
		doKey(t, g, "new", 1, nil)
		require.Len(t, g.Stats().Members, len(nodes))
		require.Equal(t, uint64(1), g.Stats().Unguarded)
	})
}

func TestFailedProbesOpenAgainInAGroupWithoutPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpenMember(t, breaker.Config{Probes: 1})
		doKey(t, g, "a", 1, errBoom)
		require.Equal(t, breaker.Open, g.Get("a").State())
	})
}

func TestPickNoticesThatProbesHaveHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpenMember(t, breaker.Config{Probes: 1})
		_, _, err := g.Pick(t.Context(), []string{"a"}, nil)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		_, _, err = g.Pick(t.Context(), []string{"a"}, nil)
		require.EqualError(t, err, "breaker: a is open")
		require.Equal(t, breaker.Open, g.Get("a").State())
	})
}
