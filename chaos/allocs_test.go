package chaos_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// fixed is a call that does nothing; by way of a variable, so that the compiler knows as
// little of it as of a user's.
var fixed = func(context.Context) error { return nil }

var value7 = func(context.Context) (int, error) { return 7, nil }

func double(n int) int { return 2 * n }

func requireAllocs(t *testing.T, want float64, f func()) {
	t.Helper()
	require.Equal(t, want, testing.AllocsPerRun(1000, f), "allocations a call")
}

func TestUnarmedAllocatesNothing(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}})
	disarmed := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}})
	require.NoError(t, disarmed.Arm(time.Hour))
	disarmed.Disarm()
	at := i.At("node-1")
	ctx, n := t.Context(), 0
	t.Run("Do", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = i.Do(ctx, func(context.Context) error { n++; return nil }) })
	})
	t.Run("Do, disarmed", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = disarmed.Do(ctx, func(context.Context) error { n++; return nil }) })
	})
	t.Run("At", func(t *testing.T) { requireAllocs(t, 0, func() { _ = at.Do(ctx, fixed) }) })
	t.Run("in a chain", func(t *testing.T) {
		chain := steady.Chain(i, at)
		requireAllocs(t, 0, func() { _ = chain.Do(ctx, fixed) })
	})
	t.Run("with a hook", func(t *testing.T) {
		heard := chaos.MustNew(chaos.Config{Hook: steady.HookFunc(func(context.Context, steady.Event) {})})
		requireAllocs(t, 0, func() { _ = heard.Do(ctx, fixed) })
	})
	t.Run("DoValue costs no more than steady.DoValue", func(t *testing.T) {
		plain := testing.AllocsPerRun(1000, func() { _, _ = steady.DoValue(ctx, i, value7) })
		requireAllocs(t, plain, func() { _, _ = chaos.DoValue(ctx, i, value7, double) })
	})
}

func TestArmedAllocatesNothingForCallsThatAreNotHit(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1e-12}}})
	require.NoError(t, i.Arm(time.Hour))
	ctx := context.Background()
	requireAllocs(t, 0, func() { _ = i.Do(ctx, fixed) })
}
