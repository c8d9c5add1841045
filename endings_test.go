package steady_test

import (
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

// TestEndings puts the four policies, composed in the recommended order, through
// the table of endings.
func TestEndings(t *testing.T) {
	steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
		gate := bulkhead.MustNew(bulkhead.Config{Limit: 200, Hook: h})
		guard := breaker.MustNew(breaker.Config{Hook: h})
		chain := steady.Chain(
			gate,
			retry.MustNew(retry.Config{Hook: h}),
			guard,
			timeout.MustNew(timeout.Config{Limit: 5 * time.Second, Hook: h}),
		)
		return chain, func() any { return [2]int{gate.Stats().InFlight, guard.Stats().Probes} }
	}})
}
