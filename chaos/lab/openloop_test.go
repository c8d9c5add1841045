package lab_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

// stalls is a server that takes 25 ms, but stands still for five seconds from the
// half of a minute on.
func stalls(begin time.Time) func() {
	return func() {
		if at := time.Since(begin); at >= 30*time.Second && at < 35*time.Second {
			time.Sleep(35*time.Second - at)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// The lab itself must not do what it is to find out. Of a stall of five seconds in a
// minute, during which a twelfth of all requests are due, a client that waits for each
// answer before it asks again sees one slow request.
func TestAnOpenLoadSeesAStallThatAClosedOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve := stalls(time.Now())
		var closed []time.Duration
		var mu sync.Mutex
		var clients sync.WaitGroup
		end := time.Now().Add(time.Minute)
		for i := range 5 { // 200 requests a second, while it is well
			clients.Go(func() {
				time.Sleep(time.Duration(i+1) * time.Nanosecond)
				for time.Now().Before(end) {
					begin := time.Now()
					serve()
					mu.Lock()
					closed = append(closed, time.Since(begin))
					mu.Unlock()
				}
			})
		}
		clients.Wait()
		slices.Sort(closed)
		require.Equal(t, 25*time.Millisecond, closed[len(closed)*99/100])
	})
	e := model()
	e.Fault = time.Minute
	e.System = func(*lab.World) (lab.Call, error) {
		serve := stalls(time.Now().Add(e.Warmup + e.Baseline))
		return func(context.Context, lab.Request) error { serve(); return nil }, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	open := tally(t, r.System, lab.PhaseFault)
	t.Log("p99 of the open load:", open.P99)
	require.GreaterOrEqual(t, open.P99, 4300*time.Millisecond)
	require.Equal(t, 25*time.Millisecond, open.P50)
}
