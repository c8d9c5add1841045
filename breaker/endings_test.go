package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadytest"
)

var errBoom = errors.New("boom")

func ok(context.Context) error   { return nil }
func fail(context.Context) error { return errBoom }

// tripped returns a breaker that has just opened.
func tripped(t *testing.T, c breaker.Config) *breaker.Breaker {
	t.Helper()
	c.ConsecutiveFailures = 2
	b, err := breaker.New(c)
	require.NoError(t, err)
	for range 2 {
		require.ErrorIs(t, b.Do(t.Context(), fail), errBoom)
	}
	require.Equal(t, breaker.Open, b.State())
	return b
}

func TestEndings(t *testing.T) {
	probes := func(b *breaker.Breaker) func() any {
		return func() any { return b.Stats().Probes }
	}
	t.Run("closed", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := breaker.MustNew(breaker.Config{Hook: h})
			return b, probes(b)
		}})
	})
	t.Run("half-open", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := tripped(t, breaker.Config{Hook: h})
			time.Sleep(10 * time.Second)
			require.Equal(t, breaker.HalfOpen, b.State())
			return b, probes(b)
		}})
	})
	t.Run("forced closed", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := breaker.MustNew(breaker.Config{Hook: h})
			b.ForceClosed()
			return b, probes(b)
		}})
	})
	t.Run("disabled", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := breaker.MustNew(breaker.Config{Hook: h})
			b.Disable()
			return b, probes(b)
		}})
	})
	t.Run("open", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{Refuses: true, New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := tripped(t, breaker.Config{Hook: h})
			return b, probes(b)
		}})
	})
	t.Run("forced open", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{Refuses: true, New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := breaker.MustNew(breaker.Config{Hook: h})
			b.ForceOpen()
			return b, probes(b)
		}})
	})
	for name, peers := range map[string]*breaker.Peers{"group": nil, "group of peers": {}} {
		t.Run(name, func(t *testing.T) {
			steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
				g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Hook: h}, Peers: peers})
				p := g.By(func(context.Context) string { return "node-1" })
				require.NoError(t, p.Do(t.Context(), ok))
				return p, func() any { return g.Stats().Members["node-1"].InFlight }
			}})
		})
	}
}
