package chaos_test

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// kill switches chaos off until the test ends. Tests that do so must not run beside others.
func kill(t *testing.T) {
	t.Helper()
	t.Cleanup(chaos.Revive)
	chaos.Kill()
}

func TestKillReleasesAThousandHangsInNoTime(t *testing.T) {
	for name, e := range map[string]chaos.Effect{"hang": chaos.Hang(), "hang ignoring context": chaos.HangIgnoringContext()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := injector(t, chaos.Fault{Name: "hang", Effect: e, Rate: 1})
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() {
						if err := i.Do(context.Background(), fixed); err == nil {
							t.Error("a hang ended without an error")
						}
					})
				}
				synctest.Wait()
				require.Equal(t, 1000, i.Stats().Hanging)
				start := time.Now()
				kill(t)
				wg.Wait()
				require.Zero(t, time.Since(start))
				require.Zero(t, i.Stats().Hanging)
			})
		})
	}
}

// The same in real time: Go forbids to end a bubble's hangs from outside, so the code
// has to tell which is which.
func TestKillReleasesHangsInRealTime(t *testing.T) {
	var begun, ended sync.WaitGroup
	begun.Add(10)
	i := armed(t, chaos.Config{
		Hook: steady.HookFunc(func(_ context.Context, e steady.Event) {
			if e.Kind == steady.KindInjected {
				begun.Done()
			}
		}),
		Faults: []chaos.Fault{{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 1}},
	}, time.Hour)
	for range 10 {
		ended.Go(func() { _ = i.Do(context.Background(), fixed) })
	}
	begun.Wait()
	kill(t)
	ended.Wait()
	require.Zero(t, i.Stats().Hanging)
}

func TestKillBeatsArmingAndTakesEffectOnTheNextCall(t *testing.T) {
	i := injector(t, down)
	require.True(t, hit(t, i))
	require.False(t, chaos.Killed())
	kill(t)
	chaos.Kill()
	require.True(t, chaos.Killed())
	require.False(t, i.Stats().Armed)
	require.False(t, hit(t, i))
	require.ErrorIs(t, i.Arm(time.Hour), chaos.ErrKilled)
	require.False(t, hit(t, i))
	require.False(t, i.Stats().Armed)
}

func TestReviveLetsInjectorsBeArmedAgainButArmsNone(t *testing.T) {
	i := injector(t, down)
	kill(t)
	chaos.Revive()
	chaos.Revive()
	require.False(t, chaos.Killed())
	require.False(t, hit(t, i), "what was armed before stays dead")
	require.NoError(t, i.Arm(time.Hour))
	require.True(t, hit(t, i))
}

// Killing from one bubble while another has hangs must not be fatal, as it is to close a
// channel of another bubble. Those hangs end with their plan.
func TestKillLeavesHangsOfOtherBubblesToTheEndOfTheirPlan(t *testing.T) {
	t.Cleanup(chaos.Revive)
	hangs, killed := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		synctest.Test(t, func(t *testing.T) {
			i := injector(t, chaos.Fault{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 1})
			start := time.Now()
			var inside sync.WaitGroup
			inside.Go(func() { _ = do(t, i) })
			synctest.Wait()
			hangs <- true
			<-killed
			inside.Wait()
			require.Equal(t, time.Hour, time.Since(start))
		})
	})
	<-hangs
	synctest.Test(t, func(*testing.T) { chaos.Kill() })
	chaos.Kill()
	killed <- true
	wg.Wait()
}

func TestTheEnvironmentVariableBeatsArming(t *testing.T) {
	i := injector(t, down)
	for _, on := range []string{"1", "true", "off"} {
		t.Setenv(chaos.EnvKill, on)
		require.ErrorIs(t, i.Arm(time.Hour), chaos.ErrKilled)
		require.EqualError(t, i.Arm(time.Hour), "chaos: switched off for this process by STEADY_CHAOS_OFF")
		require.True(t, chaos.Killed())
		chaos.Revive()
		require.True(t, chaos.Killed(), "Revive does not beat it")
	}
	for _, off := range []string{"", "0"} {
		t.Setenv(chaos.EnvKill, off)
		require.False(t, chaos.Killed())
		require.NoError(t, i.Arm(time.Hour))
	}
}

// The variable also counts as it was when the process started, which takes a process.
func TestTheEnvironmentVariableAtTheStartOfTheProcess(t *testing.T) {
	const inner = "CHAOS_TEST_INNER"
	if os.Getenv(inner) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheEnvironmentVariableAtTheStartOfTheProcess$", "-test.count=1")
		cmd.Env = append(os.Environ(), inner+"=1", chaos.EnvKill+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	require.NoError(t, os.Unsetenv(chaos.EnvKill))
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{down}})
	chaos.Revive()
	require.True(t, chaos.Killed())
	require.ErrorIs(t, i.Arm(time.Hour), chaos.ErrKilled)
	require.False(t, hit(t, i))
}
