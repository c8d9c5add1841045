package chaos_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
)

// Everything at once, for the race detector: no call may hang for ever, and none may
// be taken for hanging.
func TestArmDisarmAndKillWhileCallsRun(t *testing.T) {
	t.Cleanup(chaos.Revive)
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{
		{Name: "slow", Effect: chaos.Latency(chaos.Uniform(0, time.Millisecond)), Rate: 0.1},
		{Name: "hang", Effect: chaos.Hang(), Rate: 0.1},
		{Name: "deaf", Effect: chaos.HangIgnoringContext(), Rate: 0.1},
		{Name: "late", Effect: chaos.ErrorAfter(chaos.Constant(time.Microsecond), nil), Rate: 0.1, Until: time.Second},
		{Name: "lost", Effect: chaos.LoseReply(nil), Rate: 0.1, Max: 5},
		{Name: "garbled", Effect: chaos.Corrupt(), Rate: 0.1},
	}})
	stop := make(chan struct{})
	var calls, control sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for range 300 {
				_, _ = chaos.DoValue(context.Background(), i, value7, double)
			}
		})
	}
	for _, f := range []func(){
		func() { _ = i.Arm(time.Millisecond) }, func() { _ = i.Arm(time.Hour) }, i.Disarm,
		chaos.Kill, chaos.Revive, func() { _ = i.Stats() },
	} {
		control.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
					runtime.Gosched()
				}
			}
		})
	}
	calls.Wait()
	close(stop)
	control.Wait()
	i.Disarm()
	s := i.Stats()
	require.False(t, s.Armed)
	require.Zero(t, s.Hanging)
	require.LessOrEqual(t, s.Injected["lost"], uint64(5))
}
