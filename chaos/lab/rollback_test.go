package lab_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

// A step that fails, panics, ends its goroutine or does not return stops none of the
// others.
func TestRollbackRunsEveryStepTheLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		e.RollbackTimeout = 2 * time.Second
		release := make(chan struct{})
		var order []string
		e.System = func(w *lab.World) (lab.Call, error) {
			for _, s := range []struct {
				name string
				undo func(context.Context) error
			}{
				{"first", func(context.Context) error { return nil }},
				{"fails", func(context.Context) error { return errBoom }},
				{"panics", func(context.Context) error { panic("oh") }},
				{"ends", func(context.Context) error { runtime.Goexit(); return nil }},
				{"obeys", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
				{"blocks", func(context.Context) error { <-release; return nil }},
				{"last", func(ctx context.Context) error {
					deadline, ok := ctx.Deadline()
					require.True(t, ok)
					require.Equal(t, 2*time.Second, time.Until(deadline))
					return nil
				}},
			} {
				w.Rollback(s.name, func(ctx context.Context) error { order = append(order, s.name); return s.undo(ctx) })
			}
			return work(w)
		}
		r, err := e.Run(t.Context())
		require.Equal(t, []string{"last", "blocks", "obeys", "ends", "panics", "fails", "first"}, order)
		require.Equal(t, lab.Error, r.Verdict)
		require.EqualError(t, err, `lab: rollback "blocks" of the system: it has not returned within 2s, and was left running
lab: rollback "obeys" of the system: context deadline exceeded
lab: rollback "ends" of the system: steady: the call ended its goroutine
lab: rollback "panics" of the system: steady: the call panicked: oh
lab: rollback "fails" of the system: boom`)
		require.Equal(t, []string{
			"7s fault", "27s disarm",
			"27s rollback last",
			"29.1s rollback blocks it has not returned within 2s, and was left running",
			"31.1s rollback obeys context deadline exceeded",
			"31.1s rollback ends steady: the call ended its goroutine",
			"31.1s rollback panics steady: the call panicked: oh",
			"31.1s rollback fails boom",
			"31.1s rollback first",
		}, marks(r.System))
		require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK, "the load goes on meanwhile")
		close(release)
	})
}

// The control is rolled back whatever the system's rollback does.
func TestBothWorldsAreRolledBack(t *testing.T) {
	var undone [2]bool
	e := model()
	build := func(i int) lab.Build {
		return func(w *lab.World) (lab.Call, error) {
			w.Rollback("undo", func(context.Context) error { undone[i] = true; panic("oh") })
			return work(w)
		}
	}
	e.System, e.Control = build(0), build(1)
	r, err := inBubble(t, e)
	require.ErrorContains(t, err, `rollback "undo" of the system`)
	require.ErrorContains(t, err, `rollback "undo" of the control`)
	require.Equal(t, lab.Error, r.Verdict)
	require.Equal(t, [2]bool{true, true}, undone)
}

func TestARollbackThatIsRegisteredLateIsRunAtTheEnd(t *testing.T) {
	e := model()
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Rollback("second", func(context.Context) error { return nil })
		w.Step(time.Second, "breaks", func(context.Context) error {
			w.Rollback("first", func(context.Context) error { return nil })
			return nil
		})
		w.Go(func() {
			time.Sleep(30 * time.Second)
			w.Rollback("late", func(context.Context) error { return nil })
		})
		return work(w)
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, []string{"7s fault", "8s step breaks", "27s disarm", "27s rollback first", "27s rollback second"}, marks(r.System)[:5])
	require.Equal(t, "late", r.System.Marks[5].Name)
	require.Equal(t, 37*time.Second, r.System.Marks[5].At.Truncate(time.Second))
}

// A Build may end the goroutine, as t.FailNow does.
func TestABuildThatEndsTheGoroutineIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		undone, returned := false, false
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Go(func() { <-w.Context().Done() })
			w.Rollback("undo", func(context.Context) error { undone = true; return nil })
			runtime.Goexit()
			return nil, nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = e.Run(t.Context())
			returned = true
		}()
		<-done
		require.True(t, undone)
		require.False(t, returned)
	})
}

// A step under way when the faults end may still break what the rollback mends. So that
// comes after it, but does not wait for ever.
func TestRollbackWaitsForAStepUnderWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // the step, after its context has ended
		at    time.Duration // the rollback
		order []string
		errs  string
	}{
		{"it ends soon", 300 * time.Millisecond, 20300 * time.Millisecond, []string{"broken", "mended"}, ""},
		{"it does not", time.Minute, 22 * time.Second, []string{"mended"}, "lab: a step of the system had not returned 2s after the faults, and was rolled back while under way"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := model()
			e.RollbackTimeout = 2 * time.Second
			e.Steady = []lab.Probe{lab.Availability(0.001)}
			e.Control = nil
			var order []string
			e.System = func(w *lab.World) (lab.Call, error) {
				w.Rollback("mend", func(context.Context) error { order = append(order, "mended"); return nil })
				w.Step(19*time.Second, "break", func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(c.takes)
					if c.takes < time.Minute {
						order = append(order, "broken")
					}
					return ctx.Err()
				})
				return work(w)
			}
			synctest.Test(t, func(t *testing.T) {
				r, err := e.Run(t.Context())
				require.Equal(t, c.order, order)
				require.Equal(t, c.at, at(t, r.System, "rollback").Truncate(100*time.Millisecond))
				if c.errs == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, c.errs)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
			})
		})
	}
}
