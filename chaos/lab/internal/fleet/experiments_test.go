package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
	"github.com/steady-go/steady/chaos/lab/labtest"
)

// seeds is how many seeds are run: 20, and two under the race detector, which looks for
// races and not for tails, and is ten times slower.
func seeds() labtest.Option {
	if race {
		return labtest.Seeds(2)
	}
	return labtest.Seeds(20)
}

// underRace skips an experiment under the race detector, where those of partial failures
// and of bounded waits are run: they go through all the code that the others go through.
func underRace(t *testing.T) {
	t.Helper()
	if race {
		t.Skip("this code runs under -race in TestAPartialFailureIsNotNoticed and TestABoundedWaitEndsAnOverloadWithItsCause")
	}
}

// verify runs an experiment that must be met, and adds it to the table.
func verify(t *testing.T, e lab.Experiment) lab.Report {
	t.Helper()
	r := labtest.Test(t, e, seeds())
	results.report(r)
	require.NotNil(t, r.Control)
	return r
}

func fault(t *testing.T, a lab.Arm) lab.Tally { return phase(t, a, lab.PhaseFault) }

func phase(t *testing.T, a lab.Arm, p lab.Phase) lab.Tally {
	t.Helper()
	for _, n := range a.Phases {
		if n.Phase == p {
			return n
		}
	}
	t.Fatalf("there is no %s", p)
	return lab.Tally{}
}

// never asserts that no run of the control recovered.
func never(t *testing.T, r lab.Report, what string) {
	t.Helper()
	c := r.Control.Recovery
	results.add(t, r.Name, "control: "+what, fmt.Sprintf("%d of %d never recover", c.Never, c.Runs), "all never", c.Never == c.Runs && c.Runs > 0)
}

// E1: two of ten nodes fail.
func TestAPartialFailureIsNotNoticed(t *testing.T) {
	for _, way := range fleet.Ways() {
		t.Run(string(way), func(t *testing.T) {
			r := verify(t, fleet.PartialFailure(way))
			none := fault(t, *r.Control).Availability
			results.add(t, r.Name, "control: no policies", percent(none), "80 % ± 1", none >= 0.79 && none <= 0.81)
		})
	}
}

func TestAPartialFailureIsNoticedWithARetryAlone(t *testing.T) {
	underRace(t)
	for _, way := range fleet.Ways() {
		t.Run(string(way), func(t *testing.T) {
			r := labtest.Run(t, fleet.PartialFailureByRetryAlone(way), seeds())
			require.Equal(t, lab.Deviated, r.Verdict)
			alone := fault(t, r.System).Availability
			results.add(t, r.Name, "availability", percent(alone), "< 99.85 %", alone < 0.9985)
		})
	}
}

// E2a: the load doubles for half a minute, and nothing bounds the wait at the nodes.
func TestARetryStormEnds(t *testing.T) {
	underRace(t)
	for _, clients := range []int{1, 20} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			r := verify(t, fleet.RetryStorm(clients))
			never(t, r, "retries without a budget")
			times := phase(t, *r.Control, lab.PhaseRecovery).Amplification
			results.add(t, r.Name, "control: amplification after the surge", fmt.Sprintf("%.2f", times), "4 ± 0.05", times >= 3.95 && times <= 4.05)
		})
	}
}

// E2b: the same, and the nodes bound the wait.
func TestABoundedWaitEndsAnOverloadWithItsCause(t *testing.T) {
	for _, clients := range []int{1, 20} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			never(t, verify(t, fleet.BoundedWait(clients)), "bound of 700ms")
		})
	}
}

// E3: breakers must not make an overload worse.
func TestBreakersOfPeersDoNotDeepenAnOverload(t *testing.T) {
	underRace(t)
	never(t, verify(t, fleet.DeepenedByBreakers()), "a plain breaker for each node")
}

// E4: the bound of the wait and a service time together must be below the callers' timeout.
// 350 ms is E2b's, whose control is 700.
func TestAWaitBoundHelpsBelowTheTimeoutOnly(t *testing.T) {
	underRace(t)
	b := fleet.WaitBounds()
	never(t, verify(t, fleet.WaitBound(b[0], b[3])), "bound of "+b[3].String())
}

// E4, the law by itself: nothing but the bound differs, and the clients do nothing against
// the overload. Of 455 ms, which is below the timeout but not by a service time, nothing is
// claimed.
func TestAWaitBoundHelpsByItself(t *testing.T) {
	if !*long {
		t.Skip("the same law with other clients: -fleet.long")
	}
	for _, bound := range fleet.WaitBounds() {
		t.Run(bound.String(), func(t *testing.T) {
			r := labtest.Run(t, fleet.WaitBoundAlone(bound), seeds())
			back := r.System.Recovery
			found := fmt.Sprintf("median %v, max %v, %d of %d never", back.Median, back.Max, back.Never, back.Runs)
			switch claim := "recovery"; {
			case bound <= 350*time.Millisecond:
				results.add(t, r.Name, claim, found, "≤ 2s", back.Max <= 2*time.Second && back.Never == 0)
			case bound < fleet.OverloadLimit:
				results.add(t, r.Name, claim, found, "no claim", true)
			default:
				results.add(t, r.Name, claim, found, "all never", back.Never == back.Runs)
			}
		})
	}
}
