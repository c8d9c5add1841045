package chaos_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

func TestEveryInjectionIsOneEventBesideTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := chaos.Constant(time.Second)
		var r steadytest.Recorder
		i := armed(t, chaos.Config{Name: "db", Hook: &r, Faults: []chaos.Fault{
			{Name: "f-latency", Effect: chaos.Latency(second), Rate: 1, Keys: []string{"latency"}},
			{Name: "f-error", Effect: chaos.Error(errDown), Rate: 1, Keys: []string{"error"}},
			{Name: "f-late", Effect: chaos.ErrorAfter(second, errDown), Rate: 1, Keys: []string{"error after latency"}},
			{Name: "f-hang", Effect: chaos.Hang(), Rate: 1, Keys: []string{"hang"}},
			{Name: "f-lost", Effect: chaos.LoseReply(errDown), Rate: 1, Keys: []string{"lost reply"}},
		}}, time.Hour)
		for _, want := range []struct {
			effect  string
			delay   time.Duration
			err     error
			outcome steady.Outcome
			took    time.Duration
		}{
			{"latency", time.Second, nil, steady.Success, time.Second},
			{"error", 0, errDown, steady.Failure, 0},
			{"error after latency", time.Second, errDown, steady.Failure, time.Second},
			{"lost reply", 0, errDown, steady.Failure, 0},
			{"hang", 0, nil, steady.Failure, 2 * time.Second},
			{"none", 0, nil, steady.Success, 0},
		} {
			r.Reset()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := i.At(want.effect).Do(ctx, fixed)
			cancel()
			all := r.Events()
			done := all[len(all)-1]
			require.Equal(t, steady.Event{
				Kind: steady.KindDone, Policy: "chaos", Name: "db", Key: want.effect,
				Outcome: want.outcome, Duration: want.took, Err: err,
			}, done)
			if want.effect == "none" {
				require.Len(t, all, 1)
				continue
			}
			require.Len(t, all, 2, want.effect)
			injected := all[0]
			require.ErrorIs(t, injected.Err, want.err)
			injected.Err = nil
			require.Equal(t, want.effect, injected.To)
			require.Contains(t, injected.Reason, "f-")
			injected.Reason = ""
			require.Equal(t, steady.Event{
				Kind: steady.KindInjected, Policy: "chaos", Name: "db", Key: want.effect, To: want.effect, Delay: want.delay,
			}, injected)
		}
	})
}

// An operator must see from the log when faults began and when they were over.
func TestTheHookHearsOfArmingAndDisarming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(chaos.Revive)
		var r steadytest.Recorder
		i := armed(t, chaos.Config{Name: "db", Hook: &r, Faults: []chaos.Fault{down}}, time.Hour)
		require.NoError(t, i.Arm(time.Minute))
		i.Disarm()
		i.Disarm()
		require.NoError(t, i.Arm(time.Minute))
		time.Sleep(time.Minute)
		require.NoError(t, do(t, i.At("key")))
		require.NoError(t, do(t, i.At("key")))
		require.NoError(t, i.Arm(time.Minute))
		chaos.Kill()
		require.NoError(t, do(t, i))
		state := func(from, to, reason string, delay time.Duration, seq uint64) steady.Event {
			return steady.Event{
				Kind: steady.KindState, Policy: "chaos", Name: "db", From: from, To: to, Reason: reason, Delay: delay, Seq: seq,
			}
		}
		require.Equal(t, []steady.Event{
			state("", "disarmed", "", 0, 0),
			state("disarmed", "armed", "armed", time.Hour, 1),
			state("armed", "armed", "armed", time.Minute, 2),
			state("armed", "disarmed", "disarmed", 0, 3),
			state("disarmed", "armed", "armed", time.Minute, 4),
			state("armed", "disarmed", "time is up", 0, 5),
			state("disarmed", "armed", "armed", time.Minute, 6),
			state("armed", "disarmed", "killed", 0, 7),
		}, r.Events(steady.KindState))
	})
}

func TestAHookMayUseTheInjector(t *testing.T) {
	var i *chaos.Injector
	heard := 0
	hook := steady.HookFunc(func(_ context.Context, e steady.Event) {
		heard++
		if i != nil && e.Kind == steady.KindInjected {
			_ = i.Stats()
			i.Disarm()
		}
	})
	i = chaos.MustNew(chaos.Config{Hook: hook, Faults: []chaos.Fault{{Name: "hang", Effect: chaos.Hang(), Rate: 1}}})
	require.NoError(t, i.Arm(time.Hour))
	require.ErrorIs(t, do(t, i), chaos.ErrInjected, "disarmed before it began to wait")
	require.Equal(t, 6, heard)
}

func TestAHookThatPanicsIsCounted(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{down}, Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("bad hook") })})
	require.NoError(t, i.Arm(time.Hour))
	require.ErrorIs(t, do(t, i), errDown)
	i.Disarm()
	require.NoError(t, do(t, i))
	require.EqualValues(t, 7, i.Stats().HookPanics, "construction, 3 states, 1 injection, 2 outcomes")
}

func TestAKeyOrAWhenThatPanicsEndsTheCallWithOneOutcome(t *testing.T) {
	var r steadytest.Recorder
	i := armed(t, chaos.Config{
		Hook:   &r,
		Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1, When: func(context.Context) bool { panic("bad When") }}},
	}, time.Hour)
	r.Reset()
	require.PanicsWithValue(t, "bad When", func() { _ = do(t, i) })
	require.Len(t, r.Events(), 1)
	require.ErrorIs(t, r.Outcomes()[0].Err, steady.ErrNoReturn)
}
