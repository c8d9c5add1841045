package chaos_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

func TestEndings(t *testing.T) {
	never := chaos.Fault{Name: "never", Effect: chaos.Error(errDown), Rate: 0}
	elsewhere := chaos.Fault{Name: "elsewhere", Effect: chaos.Hang(), Rate: 1, Keys: []string{"elsewhere"}}
	slow := chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Uniform(0, 100*time.Millisecond)), Rate: 0.5}
	for name, s := range map[string]struct {
		faults []chaos.Fault
		armed  time.Duration
		at     bool
	}{
		"unarmed":              {faults: []chaos.Fault{down}},
		"unarmed, at a key":    {faults: []chaos.Fault{down}, at: true},
		"armed, nothing hit":   {faults: []chaos.Fault{never, elsewhere}, armed: 1000 * time.Hour},
		"armed, at a key":      {faults: []chaos.Fault{never, elsewhere}, armed: 1000 * time.Hour, at: true},
		"armed, slow":          {faults: []chaos.Fault{slow}, armed: 1000 * time.Hour},
		"the plan ends midway": {faults: []chaos.Fault{slow}, armed: 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			steadytest.TestPolicy(t, steadytest.Subject{New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
				i := chaos.MustNew(chaos.Config{Faults: s.faults, Hook: h})
				if s.armed > 0 {
					require.NoError(t, i.Arm(s.armed))
				}
				held := func() any { return i.Stats().Hanging }
				if s.at {
					return i.At("key"), held
				}
				return i, held
			}})
		})
	}
}
