package breaker

import (
	"maps"
	"slices"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/report"
)

// shedderStates are the states of a group that sheds load.
var shedderStates = []string{admitting, shedding}

// SetDryRun begins or ends the dry run that [Config] describes. On a member of a
// [Group] it does so for all of them.
func (b *Breaker) SetDryRun(on bool) { b.dryRun.Store(on) }

// SetDryRun begins or ends the dry run of all members; see [Config].
func (g *Group) SetDryRun(on bool) { g.dryRun.Store(on) }

// Inspect implements [steady.Inspector].
func (b *Breaker) Inspect() []steady.Status {
	s := b.status(b)
	if b.group == nil {
		s.Switches = append(s.Switches, report.DryRunSwitch(s.DryRun, b.SetDryRun))
	}
	return []steady.Status{s}
}

// Inspect implements [steady.Inspector]: the group itself first, then its members in
// the order of their keys. The switches of a member may be thrown when the group has
// dropped it meanwhile, and then concern the one that has come in its place.
func (g *Group) Inspect() []steady.Status {
	g.mu.RLock()
	members := maps.Clone(g.members)
	g.mu.RUnlock()

	s := g.report.Status(steady.Level{Name: steady.LevelUnguarded, Value: float64(g.unguarded.Load())})
	s.Levels[len(s.Levels)-1].Value += float64(g.surplus.report.Panics()) // of calls for which there was no room
	if g.shedder != nil {
		s.States, s.State = shedderStates, admitting
		if g.shedder.on() {
			s.State = shedding
		}
		s.Levels = append(s.Levels, steady.Level{Name: steady.LevelShare, Value: g.shedder.refusing()})
	}
	s.DryRun = g.dryRun.Load()
	s.Switches = []steady.Switch{report.DryRunSwitch(s.DryRun, g.SetDryRun)}
	all := []steady.Status{s}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		all = append(all, members[key].status(late{g, key}))
	}
	return all
}

// forcible is what has the switches of a breaker.
type forcible interface {
	ForceOpen()
	ForceClosed()
	Disable()
	Reset()
}

// late is the member that a group has when a switch is thrown.
type late struct {
	group *Group
	key   string
}

func (l late) ForceOpen()   { l.group.Get(l.key).ForceOpen() }
func (l late) ForceClosed() { l.group.Get(l.key).ForceClosed() }
func (l late) Disable()     { l.group.Get(l.key).Disable() }
func (l late) Reset()       { l.group.Get(l.key).Reset() }

// status is the status of b, whose switches are those of f.
func (b *Breaker) status(f forcible) steady.Status {
	stats := b.Stats()
	s := b.report.Status(
		steady.Level{Name: steady.LevelWindowCalls, Value: float64(stats.Calls)},
		steady.Level{Name: steady.LevelWindowFailures, Value: float64(stats.Failures)},
		steady.Level{Name: steady.LevelProbes, Value: float64(stats.Probes)},
		steady.Level{Name: steady.LevelOpenFor, Value: stats.RetryAfter.Seconds()},
	)
	if b.cfg.SlowAfter > 0 {
		s.Levels = append(s.Levels, steady.Level{Name: steady.LevelWindowSlow, Value: float64(stats.Slow)})
	}
	s.State, s.States, s.DryRun = stats.State.String(), stateNames[:], stats.DryRun
	s.Switches = []steady.Switch{
		{Name: "force open", Throw: f.ForceOpen},
		{Name: "force closed", Throw: f.ForceClosed},
		{Name: "disable", Throw: f.Disable},
		{Name: "reset", Throw: f.Reset},
	}
	return s
}
