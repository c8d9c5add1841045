package chaos_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

var corrupted = chaos.Fault{Name: "garbled", Effect: chaos.Corrupt(), Rate: 1}

func TestDoValueCorruptsTheResult(t *testing.T) {
	var r steadytest.Recorder
	i := armed(t, chaos.Config{Name: "db", Hook: &r, Faults: []chaos.Fault{corrupted}}, time.Hour)
	for name, p := range map[string]steady.Policy{
		"injector": i, "at a key": i.At("key"), "chain": steady.Chain(retry.MustNew(retry.Config{}), i.At("key")),
	} {
		r.Reset()
		v, err := chaos.DoValue(t.Context(), p, value7, double)
		require.NoError(t, err, name)
		require.Equal(t, 14, v, name)
		all := r.Events()
		require.Len(t, all, 2)
		key := "key"
		if name == "injector" {
			key = ""
		}
		require.Equal(t, steady.Event{
			Kind: steady.KindInjected, Policy: "chaos", Name: "db", Key: key, Reason: "garbled", To: "corrupt",
		}, all[0])
		require.Equal(t, steady.Success, all[1].Outcome)
	}
	require.EqualValues(t, 3, i.Stats().Injected["garbled"])
}

func TestCorruptLeavesAloneWhatItCannotApplyTo(t *testing.T) {
	i := injector(t, corrupted)
	v, err := chaos.DoValue(t.Context(), i, value7, nil)
	require.NoError(t, err)
	require.Equal(t, 7, v, "nobody says how")
	v, err = steady.DoValue(t.Context(), i, value7)
	require.NoError(t, err)
	require.Equal(t, 7, v)
	_, err = chaos.DoValue(t.Context(), i, func(context.Context) (int, error) { return 7, errNatural }, double)
	require.Same(t, errNatural, err)
	require.Zero(t, i.Stats().Injected["garbled"])
	i.Disarm()
	v, err = chaos.DoValue(t.Context(), i, value7, double)
	require.NoError(t, err)
	require.Equal(t, 7, v, "disarmed")
}

func TestCorruptReachesNoCallFurtherIn(t *testing.T) {
	outer, inner := injector(t, corrupted), injector(t, corrupted)
	calm := chaos.MustNew(chaos.Config{})
	got := 0
	v, err := chaos.DoValue(t.Context(), outer, func(ctx context.Context) (int, error) {
		got, _ = chaos.DoValue(ctx, steady.Chain(calm), value7, double) // not hit, within one that is
		require.NoError(t, inner.Do(ctx, fixed))
		return 1, nil
	}, double)
	require.NoError(t, err)
	require.Equal(t, 2, v)
	require.Equal(t, 7, got)
	require.Zero(t, inner.Stats().Injected["garbled"])
}

func TestCorruptHasAMaxAndAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := corrupted
		f.Max = 1
		i := injector(t, f)
		v, _ := chaos.DoValue(t.Context(), i, value7, double)
		require.Equal(t, 14, v)
		v, _ = chaos.DoValue(t.Context(), i, value7, double)
		require.Equal(t, 7, v)
		i = injector(t, corrupted)
		v, _ = chaos.DoValue(t.Context(), i, func(context.Context) (int, error) { time.Sleep(time.Hour); return 7, nil }, double)
		require.Equal(t, 7, v, "the plan ended during the call")
	})
}

func TestALostReplyTakesItsValueWithIt(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "lost", Effect: chaos.LoseReply(errDown), Rate: 1})
	ran := 0
	v, err := chaos.DoValue(t.Context(), i, func(context.Context) (int, error) { ran++; return 7, nil }, double)
	require.ErrorIs(t, err, errDown)
	require.Zero(t, v)
	require.Equal(t, 1, ran)
}
