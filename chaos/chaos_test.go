package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

var (
	errDown    = errors.New("the node is down")
	errNatural = errors.New("a failure of the call's own")
)

// down is a fault that fails all calls.
var down = chaos.Fault{Name: "down", Effect: chaos.Error(errDown), Rate: 1}

// injector returns an injector with the faults, armed for an hour.
func injector(t *testing.T, faults ...chaos.Fault) *chaos.Injector {
	t.Helper()
	return armed(t, chaos.Config{Faults: faults}, time.Hour)
}

func armed(t *testing.T, c chaos.Config, d time.Duration) *chaos.Injector {
	t.Helper()
	i, err := chaos.New(c)
	require.NoError(t, err)
	require.NoError(t, i.Arm(d))
	return i
}

func do(t *testing.T, p steady.Policy) error {
	t.Helper()
	return p.Do(t.Context(), fixed)
}

// hit reports whether a call is hit by a fault that makes an error of it.
func hit(t *testing.T, p steady.Policy) bool {
	t.Helper()
	return errors.Is(do(t, p), chaos.ErrInjected)
}

func TestNothingIsInjectedUntilArmed(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{down}})
	require.NoError(t, do(t, i))
	require.Equal(t, chaos.Stats{Injected: map[string]uint64{}}, i.Stats())
	require.NoError(t, i.Arm(time.Hour))
	require.ErrorIs(t, do(t, i), errDown)
	require.Equal(t, chaos.Stats{Armed: true, Calls: 1, Injected: map[string]uint64{"down": 1}}, i.Stats())
	i.Disarm()
	i.Disarm()
	require.NoError(t, do(t, i))
	require.Equal(t, chaos.Stats{Calls: 1, Injected: map[string]uint64{"down": 1}}, i.Stats())
}

func TestAPlanPastItsEndInjectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := armed(t, chaos.Config{Faults: []chaos.Fault{down}}, time.Minute)
		time.Sleep(time.Minute - 1)
		require.True(t, hit(t, i))
		require.True(t, i.Stats().Armed)
		time.Sleep(time.Nanosecond)
		require.False(t, i.Stats().Armed)
		require.False(t, hit(t, i), "at its end")
	})
	synctest.Test(t, func(t *testing.T) {
		i := armed(t, chaos.Config{Faults: []chaos.Fault{down}}, time.Minute)
		time.Sleep(time.Hour)
		require.False(t, hit(t, i), "nobody having called in between")
	})
}

func TestArmingAgainBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 1, Until: time.Minute, Max: 1})
		require.True(t, hit(t, i))
		require.False(t, hit(t, i), "Max is used up")
		time.Sleep(time.Minute)
		require.NoError(t, i.Arm(time.Hour))
		require.Equal(t, chaos.Stats{Armed: true, Injected: map[string]uint64{"down": 0}}, i.Stats())
		require.True(t, hit(t, i))
	})
}

func TestArmingAgainReleasesTheHangsOfThePlanBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 1, Max: 1})
		ended := make(chan error, 1)
		go func() { ended <- do(t, i) }()
		synctest.Wait()
		require.Equal(t, 1, i.Stats().Hanging)
		start := time.Now()
		require.NoError(t, i.Arm(time.Hour))
		require.ErrorIs(t, <-ended, chaos.ErrInjected)
		require.Zero(t, time.Since(start))
		synctest.Wait()
		require.Zero(t, i.Stats().Hanging)
		require.Zero(t, i.Stats().Injected["hang"], "it counts for the plan before")
	})
}

func TestArmRefusesATimeThatIsNotPositive(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{down}})
	require.EqualError(t, i.Arm(0), "chaos: Arm.d must be > 0, got 0s")
	require.EqualError(t, i.Arm(-1), "chaos: Arm.d must be > 0, got -1ns")
	require.False(t, i.Stats().Armed)
	require.NoError(t, i.Arm(time.Hour))
	require.Error(t, i.Arm(0))
	require.True(t, hit(t, i), "an error changes nothing")
}

// An armed injector that comes into a synctest bubble sees the year 2000.
func TestAnInjectorCarriedIntoABubbleOrOutOfItIsDisarmed(t *testing.T) {
	outside := injector(t, down)
	var inside *chaos.Injector
	synctest.Test(t, func(t *testing.T) {
		require.False(t, hit(t, outside))
		inside = injector(t, down)
		require.True(t, hit(t, inside))
	})
	require.False(t, hit(t, outside))
	inside.Disarm()
	require.False(t, hit(t, inside))
	require.NoError(t, inside.Arm(time.Hour))
	require.True(t, hit(t, inside))
	synctest.Test(t, func(t *testing.T) { require.False(t, hit(t, inside)) })
}

func TestContextDoneOnEntryGetsItsErrorAndOneEvent(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	never := func(context.Context) error { t.Error("a call was started"); return nil }
	for _, isArmed := range []bool{false, true} {
		for _, hooked := range []bool{false, true} {
			t.Run(fmt.Sprintf("armed %v, hook %v", isArmed, hooked), func(t *testing.T) {
				var r steadytest.Recorder
				c := chaos.Config{Faults: []chaos.Fault{down}}
				if hooked {
					c.Hook = &r
				}
				i := chaos.MustNew(c)
				if isArmed {
					require.NoError(t, i.Arm(time.Hour))
				}
				r.Reset()
				for _, p := range []steady.Policy{i, i.At("key"), steady.Chain(i)} {
					err := p.Do(ctx, never)
					require.ErrorIs(t, err, context.Canceled)
					require.ErrorIs(t, err, gone)
					require.NotErrorIs(t, err, chaos.ErrInjected)
				}
				require.Zero(t, i.Stats().Calls)
				if hooked {
					require.Len(t, r.Events(), 3)
					require.Len(t, r.Events(steady.KindRejected), 3)
				}
			})
		}
	}
}

func TestDisarmReleasesHangsAndCutsDelaysShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t,
			chaos.Fault{Name: "hang", Effect: chaos.Hang(), Rate: 1, Keys: []string{"hang"}},
			chaos.Fault{Name: "deaf", Effect: chaos.HangIgnoringContext(), Rate: 1, Keys: []string{"deaf"}},
			chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Constant(time.Minute)), Rate: 1, Keys: []string{"slow"}},
			chaos.Fault{Name: "late", Effect: chaos.ErrorAfter(chaos.Constant(time.Minute), errDown), Rate: 1, Keys: []string{"late"}},
		)
		errs := map[string]error{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, key := range []string{"hang", "deaf", "slow", "late"} {
			wg.Go(func() {
				err := do(t, i.At(key))
				mu.Lock()
				errs[key] = err
				mu.Unlock()
			})
		}
		synctest.Wait()
		require.Equal(t, 2, i.Stats().Hanging)
		start := time.Now()
		i.Disarm()
		wg.Wait()
		require.Zero(t, time.Since(start))
		require.Zero(t, i.Stats().Hanging)
		require.ErrorIs(t, errs["hang"], chaos.ErrInjected)
		require.ErrorIs(t, errs["deaf"], chaos.ErrInjected)
		require.NoError(t, errs["slow"], "the call is made")
		require.ErrorIs(t, errs["late"], errDown)
	})
}

func TestLatencyAddsUpAndTheFirstOtherEffectEndsTheWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{
			{Name: "slow", Effect: chaos.Latency(chaos.Constant(time.Second)), Rate: 1},
			{Name: "slower", Effect: chaos.Latency(chaos.Constant(time.Minute)), Rate: 1},
			{Name: "down", Effect: chaos.Error(errDown), Rate: 1, Keys: []string{"", "a"}},
			{Name: "behind", Effect: chaos.Error(errNatural), Rate: 1},
		}}, time.Hour)
		r.Reset()
		start := time.Now()
		require.ErrorIs(t, do(t, i), errDown)
		require.Equal(t, time.Minute+time.Second, time.Since(start))
		var names []string
		for _, e := range r.Events(steady.KindInjected) {
			names = append(names, e.Reason)
		}
		require.Equal(t, []string{"slow", "slower", "down"}, names)
		require.ErrorIs(t, do(t, i.At("b")), errNatural)
	})
}

func TestAPlanThatEndsDuringADelayInjectsNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Constant(2 * time.Hour)), Rate: 1}, down)
		start := time.Now()
		require.NoError(t, do(t, i))
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestAFaultWhoseMaxIsUsedUpLeavesCallsToTheNext(t *testing.T) {
	i := injector(t,
		chaos.Fault{Name: "lost", Effect: chaos.LoseReply(nil), Rate: 1, Max: 1},
		chaos.Fault{Name: "down", Effect: chaos.Error(errDown), Rate: 1},
	)
	require.NotErrorIs(t, do(t, i), errDown)
	require.ErrorIs(t, do(t, i), errDown)
}

func TestKeysAndWhenSayWhichCalls(t *testing.T) {
	type vip struct{}
	type node struct{}
	c := chaos.Config{
		Key: func(ctx context.Context) string { s, _ := ctx.Value(node{}).(string); return s },
		Faults: []chaos.Fault{{
			Name: "down", Effect: chaos.Error(nil), Rate: 1, Keys: []string{"a", "b"},
			When: func(ctx context.Context) bool { return ctx.Value(vip{}) == nil },
		}},
	}
	i := armed(t, c, time.Hour)
	with := func(key string) context.Context { return context.WithValue(t.Context(), node{}, key) }
	require.NoError(t, i.Do(with("c"), fixed))
	require.NoError(t, i.Do(t.Context(), fixed))
	require.ErrorIs(t, i.Do(with("a"), fixed), chaos.ErrInjected)
	require.EqualError(t, i.Do(with("b"), fixed), "chaos: injected by down at b")
	require.NoError(t, i.At("c").Do(with("a"), fixed), "At comes before Key")
	require.NoError(t, i.At("").Do(with("a"), fixed), "even if empty")
	require.ErrorIs(t, i.At("a").Do(with("c"), fixed), chaos.ErrInjected)
	require.NoError(t, i.Do(context.WithValue(with("a"), vip{}, true), fixed))
}

func TestKeyAndWhenAreAskedOnlyWhileArmed(t *testing.T) {
	asked := 0
	i := chaos.MustNew(chaos.Config{
		Hook:   new(steadytest.Recorder),
		Key:    func(context.Context) string { asked++; return "" },
		Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1, When: func(context.Context) bool { asked++; return false }}},
	})
	require.NoError(t, do(t, i))
	require.Zero(t, asked)
	require.NoError(t, i.Arm(time.Hour))
	require.NoError(t, do(t, i))
	require.Equal(t, 2, asked)
}

func TestMaxIsExact(t *testing.T) {
	const most = 1000
	for name, e := range map[string]chaos.Effect{"error": chaos.Error(nil), "lost reply": chaos.LoseReply(nil)} {
		t.Run(name, func(t *testing.T) {
			var r steadytest.Recorder
			i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{{Name: "down", Effect: e, Rate: 0.9, Max: most}}}, time.Hour)
			var hits atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for range 100 {
						if i.Do(context.Background(), func(context.Context) error { runtime.Gosched(); return nil }) != nil {
							hits.Add(1)
						}
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, most, hits.Load())
			require.EqualValues(t, most, i.Stats().Injected["down"])
			require.Len(t, r.Events(steady.KindInjected), most)
			require.EqualValues(t, 6400, i.Stats().Calls)
		})
	}
}
