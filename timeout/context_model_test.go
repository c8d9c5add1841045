package timeout

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A twin is a context of ours, or one derived from it, and the same made with package
// context.
type twin struct {
	name      string
	ours, std context.Context
}

func told(ctx context.Context) string {
	return fmt.Sprint(ctx.Err(), ", because of ", context.Cause(ctx))
}

// Whatever is done with the context of a call, it says what that of
// context.WithDeadlineCause says, and so do those derived from it: with a timer of its
// own, and in the line.
func TestTheContextIsWhatPackageContextMakes(t *testing.T) {
	for _, lines := range []bool{false, true} {
		t.Run(fmt.Sprintf("lines %t", lines), func(t *testing.T) {
			before := linesEverywhere
			linesEverywhere = lines
			defer func() { linesEverywhere = before }()
			rapid.Check(t, func(r *rapid.T) { rapid.SyncTest(r, compareTwins) })
		})
	}
}

func compareTwins(r *rapid.T) {
	// No two things happen at one instant.
	const limit = 10*time.Second + time.Microsecond
	errTheirs, errGone := errors.New("theirs"), errors.New("gone")
	base, cancelBase := context.WithCancelCause(context.Background())
	defer cancelBase(nil)
	caller := context.Context(base)
	if rapid.Bool().Draw(r, "the caller has a deadline") {
		d := time.Duration(rapid.IntRange(1, 20).Draw(r, "seconds"))*time.Second + 100*time.Millisecond
		var cancel context.CancelFunc
		caller, cancel = context.WithDeadlineCause(base, time.Now().Add(d), errTheirs)
		defer cancel()
	}
	p := MustNew(Config{Limit: limit})
	start := time.Now()
	std, cancelStd := context.WithDeadlineCause(caller, start.Add(limit), p.cause)
	defer cancelStd()

	var twins []twin
	var heard, heardStd atomic.Int32
	var cancels []context.CancelFunc
	defer func() {
		for _, cancel := range cancels {
			cancel()
		}
	}()
	compare := func(when string) {
		synctest.Wait()
		for _, tw := range twins {
			require.Equal(r, told(tw.std), told(tw.ours), "%s, %s after %v", tw.name, when, time.Since(start))
		}
		require.Equal(r, heardStd.Load(), heard.Load(), "AfterFunc, %s", when)
	}
	derive := func(of twin, how string, f func(context.Context) (context.Context, context.CancelFunc)) {
		ours, cancel := f(of.ours)
		same, cancelSame := f(of.std)
		twins = append(twins, twin{of.name + "." + how, ours, same})
		cancels = append(cancels, cancel, cancelSame)
	}
	_ = p.Do(caller, func(ctx context.Context) error {
		twins = append(twins, twin{"it", ctx, std})
		asked := false
		for range rapid.IntRange(1, 10).Draw(r, "steps") {
			of := twins[rapid.IntRange(0, len(twins)-1).Draw(r, "which")]
			switch step := rapid.SampledFrom([]string{"sleep", "cancel", "Done", "Err", "WithCancel", "WithValue", "WithTimeout", "AfterFunc"}).Draw(r, "step"); step {
			case "sleep":
				time.Sleep(time.Duration(rapid.IntRange(1, 7).Draw(r, "seconds")) * time.Second)
			case "cancel":
				if !asked && time.Since(start) > limit {
					continue // the one difference, which is documented
				}
				cancelBase(errGone)
			case "Done":
				asked = true
				of.ours.Done()
			case "Err":
				compare("asked")
				asked = true
				of.ours.Done() // Err alone need not make it listen
			case "WithCancel":
				asked = true
				derive(of, step, context.WithCancel)
			case "WithValue":
				derive(of, step, func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithValue(ctx, of, step), func() {}
				})
			case "WithTimeout":
				asked = true
				d := 3*time.Second + time.Duration(len(twins))*7*time.Millisecond
				derive(of, step, func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeoutCause(ctx, d, errGone)
				})
			case "AfterFunc":
				asked = true
				context.AfterFunc(of.ours, func() { heard.Add(1) })
				context.AfterFunc(of.std, func() { heardStd.Add(1) })
			}
			synctest.Wait()
		}
		compare("at the end")
		_ = ctx.Done() // one that nobody has asked may say Canceled afterwards
		return nil
	})
	cancelStd()
	compare("after the call")
}
