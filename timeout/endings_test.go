package timeout_test

import (
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

func TestEndings(t *testing.T) {
	steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
		return timeout.MustNew(timeout.Config{Limit: time.Second, Hook: h}), nil
	}})
}
