package retry_test

import (
	"testing"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

func TestEndings(t *testing.T) {
	for name, attempts := range map[string]int{"one attempt": 1, "three attempts": 3} {
		t.Run(name, func(t *testing.T) {
			steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
				return retry.MustNew(retry.Config{Attempts: attempts, Hook: h}), nil
			}})
		})
	}
}
