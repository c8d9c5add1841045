package steadytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steady-go/steady"
)

// TestHook checks a hook against the contract of [steady.Hook]: that it takes
// every kind of event, those of the future included, with every field set and with
// none, on a context that is done too; that it neither panics nor waits for
// anything, and leaves no goroutine behind; and, under the race detector, that it
// may be called by several goroutines at once.
//
// newHook is called once for each part, inside a [testing/synctest] bubble. What
// a hook has to close it closes with t.Cleanup.
func TestHook(t *testing.T, newHook func(t *testing.T) steady.Hook) {
	t.Helper()
	for _, e := range sampleEvents() {
		t.Run(fmt.Sprintf("%s %s", e.Kind, e.Policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hook := newHook(t)
				done, cancel := context.WithCancel(t.Context())
				cancel()
				deliver(t, hook, t.Context(), e)
				deliver(t, hook, done, e)
			})
		})
	}
	t.Run("several goroutines", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hook := newHook(t)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 20 {
						for _, e := range sampleEvents() {
							deliver(t, hook, t.Context(), e)
						}
					}
				})
			}
			wg.Wait()
		})
	})
}

// deliver passes e to hook and checks that it comes back.
func deliver(t *testing.T, hook steady.Hook, ctx context.Context, e steady.Event) {
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("the hook panicked on an event of kind %s: %v", e.Kind, p)
		}
	}()
	start := time.Now()
	hook.On(ctx, e)
	if waited := time.Since(start); waited > 0 {
		t.Errorf("the hook waited for %v on an event of kind %s", waited, e.Kind)
	}
}

// A sampleInspector says what no policy does, with the words that all share.
type sampleInspector struct{}

func (sampleInspector) Inspect() []steady.Status {
	return []steady.Status{{
		Policy: "full", Name: "orders", ID: 1, State: "open", States: []string{"closed", "open"},
		Levels:   []steady.Level{{Name: steady.LevelInFlight, Value: 1}, {Name: "of the future", Value: 2}},
		Switches: []steady.Switch{{Name: "reset", Throw: func() {}}},
	}, {Policy: "bare"}}
}

// sampleEvents are events of every kind, and of one that does not exist yet, each
// with all fields and with hardly any, and as a cache has them, whose requests have events of
// their own.
func sampleEvents() []steady.Event {
	full := steady.Event{
		Policy: "full", Name: "orders", Key: "node-1",
		Outcome: steady.Failure, Duration: time.Second, Wait: time.Millisecond, Delay: time.Minute, Age: time.Hour,
		Attempt: 2, Seq: 3, From: "closed", To: "open", Reason: "failure ratio", Err: errors.New("boom"),
		Of: sampleInspector{},
	}
	var all []steady.Event
	kinds := []steady.Kind{0, 255}
	for k := steady.KindDone; k.String() != "unknown"; k++ {
		kinds = append(kinds, k)
	}
	for _, kind := range kinds {
		e := full
		e.Kind = kind
		all = append(all, e, steady.Event{Kind: kind, Policy: "bare"})
		e.Policy, e.Reason = "cache", "stale on error"
		all = append(all, e)
	}
	return all
}
