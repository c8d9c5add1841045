package steadydebug_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/steadydebug"
)

func TestHearingOfACallAllocatesNothing(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{TraceID: func(context.Context) string { return "x" }})
	for _, kind := range []steady.Kind{steady.KindDone, steady.KindRejected, steady.KindRetry, steady.KindDryRun, steady.KindInjected, steady.KindLoad, steady.KindLoaded, steady.KindEvicted} {
		e := a(kind, steady.Event{Outcome: steady.Success, Duration: time.Millisecond, Reason: "full"})
		require.Zero(t, testing.AllocsPerRun(100, func() { p.On(t.Context(), e) }), kind)
	}
}

// Under the race detector: all at once. What was told before is counted after.
func TestHearingAndShowingAtOnce(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: func(*http.Request) bool { return true }})
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: p, ConsecutiveFailures: 2}})
	full := bulkhead.MustNew(bulkhead.Config{Name: "full", Limit: 2, Hook: p})
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for k := range 300 {
				_ = g.Do(t.Context(), string(rune('a'+k%5)), func(ctx context.Context) error {
					return full.Do(ctx, map[bool]func(context.Context) error{true: fail, false: succeed}[k%3 == 0])
				})
				p.On(t.Context(), steady.Event{Kind: steady.KindRejected, Policy: "p", Name: string(rune('a' + k%20)), Reason: string(rune('a' + (k+n)%30))})
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 20 {
				for _, path := range []string{"/", "/panel", "/status.json"} {
					w := httptest.NewRecorder()
					p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				}
			}
		})
	}
	wg.Wait()
	s := status(t, p)
	nodes := policy(t, s, "breaker", "nodes").Calls
	require.EqualValues(t, 4*300, nodes.Success.Total+nodes.Failure.Total+nodes.Ignored.Total+nodes.Rejected.Total)
	var refused uint64
	for _, of := range s.Policies {
		if of.Policy == "p" {
			refused += of.Calls.Rejected.Total
		}
	}
	require.EqualValues(t, 4*300, refused)
}
