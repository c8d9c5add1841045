package idempotency

import (
	"sync/atomic"

	"github.com/steady-go/steady"
)

// counts are what a guard counts.
type counts struct {
	running                                           atomic.Int64
	executions, recoveries, releases, left            atomic.Uint64
	replays, notReplayable, busy, mismatches, unknown atomic.Uint64
	storeErrors, lost, leasesLost                     atomic.Uint64
}

// Stats is what a [Guard] has under way, and what it has done so far.
type Stats struct {
	Running int // calls

	Executions uint64 // calls that were begun
	Recoveries uint64 // of these, those of keys whose earlier owner was gone
	Released   uint64 // that ended without an effect, nor one of an earlier owner, whatever the store said to that
	Left       uint64 // that ended with an unknown outcome, whatever the store said to that

	// How many requests were answered without a call. Busy are those whose original was in flight.
	Replays, NotReplayable, Busy, Mismatches, Unknown uint64

	StoreErrors uint64 // that kept a call from being begun, an outcome from being stored, or a lease from being extended
	LeasesLost  uint64 // while their call ran
	Lost        uint64 // outcomes that came when somebody else had claimed the key
	HookPanics  uint64 // panics of the hook
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (g *Guard) Stats() Stats {
	c := &g.counts
	return Stats{
		Running:    int(c.running.Load()),
		Executions: c.executions.Load(), Recoveries: c.recoveries.Load(), Released: c.releases.Load(), Left: c.left.Load(),
		Replays: c.replays.Load(), NotReplayable: c.notReplayable.Load(), Busy: c.busy.Load(), Mismatches: c.mismatches.Load(), Unknown: c.unknown.Load(),
		StoreErrors: c.storeErrors.Load(), LeasesLost: c.leasesLost.Load(), Lost: c.lost.Load(), HookPanics: g.report.Panics(),
	}
}

// Inspect implements [steady.Inspector].
func (g *Guard) Inspect() []steady.Status {
	levels := []steady.Level{
		{Name: steady.LevelInFlight, Value: float64(g.counts.running.Load())},
		{Name: steady.LevelTimeLimit, Value: g.maxRun.Seconds()},
	}
	if g.memory != nil {
		s := g.memory.Stats()
		levels = append(levels, steady.Level{Name: steady.LevelEntries, Value: float64(s.Keys)}, steady.Level{Name: steady.LevelMaxEntries, Value: float64(s.MaxKeys)})
	}
	return []steady.Status{g.report.Status(levels...)}
}
