package fleet_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
)

var long = flag.Bool("fleet.long", false, "run also what takes long: an hour, and wait bounds by themselves")

// E8: an hour at 200 requests a second. How long it takes depends on the machine and on
// what else runs there, so it is no test but for who asks for it.
func TestAnHour(t *testing.T) {
	if !*long {
		t.Skip("a measurement: -fleet.long")
	}
	e := fleet.PartialFailure(fleet.Hang)
	e.Name = "E8: an hour at 200 requests a second"
	e.Control = nil
	e.Recovery = time.Hour - e.Warmup - e.Baseline - e.Fault
	begin := time.Now()
	r := runOf(t, e)
	took := time.Since(begin)
	require.Equal(t, lab.Met, r.Verdict)
	bound := 10 * time.Second
	if race {
		bound = time.Minute
	}
	results.add(t, e.Name, "seconds", took.Round(10*time.Millisecond).String(), "≤ "+bound.String(), took <= bound)
}
