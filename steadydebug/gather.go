package steadydebug

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/steady-go/steady"
)

const (
	maxInstances   = 1000
	maxMembers     = 200  // of one group
	maxAllMembers  = 1000 // of all groups
	maxLevels      = 32   // of one status
	maxSwitches    = 16   // of one status
	maxStateCounts = 16   // of one group
)

// A holder is a policy that could be looked into, and its members if it is a group.
type holder struct {
	steady.Status
	members []steady.Status
}

// holders tells policies and their members apart. Members follow their group, and have its
// ID; those of a policy from elsewhere, which has none, have its name and a key.
func holders(statuses []steady.Status) []holder {
	var all []holder
	for _, s := range statuses {
		if n := len(all) - 1; n >= 0 {
			group := all[n]
			if s.ID == group.ID && (s.ID != 0 || s.Key != "" && group.Key == "" && s.Policy == group.Policy && s.Name == group.Name) {
				all[n].members = append(all[n].members, s)
				continue
			}
		}
		all = append(all, holder{Status: s})
	}
	return all
}

// holders returns all policies that can be looked into. One that panics then is from
// elsewhere, and is not shown.
func (p *Page) holders() []holder {
	statuses, _ := p.policies.Statuses()
	return holders(statuses)
}

// condition is the worst of the holder and its members.
func (h holder) condition() condition {
	c := conditionOf(h.State, h.DryRun)
	for _, m := range h.members {
		c = max(c, conditionOf(m.State, false))
	}
	return c
}

// gather returns what there is to be shown, with switches or without. It looks into all
// policies, with no lock held, and also returns what is remembered of the last minute.
func (p *Page) gather(control bool) (Status, []look) {
	all := p.holders()
	now, base, minute := p.history.since(&p.tallies)
	s := Status{
		Summary: summary(), Title: p.cfg.Title, Time: now.at, Since: p.history.start,
		Moments: p.moments.newest(), FurtherEvents: p.tallies.beyond.Load(),
	}
	for _, h := range all {
		s.Summary.add(h.Status, false)
		for _, m := range h.members {
			s.Summary.add(m, true)
		}
	}
	policies := map[identity]*Policy{}
	policy := func(id identity) *Policy {
		if policies[id] == nil {
			policies[id] = &Policy{Policy: id.policy, Name: id.name, Instances: []Instance{}}
		}
		return policies[id]
	}
	elapsed := max(0, now.at.Sub(base.at).Seconds())
	for id, f := range now.detailed {
		policy(id).Calls = callsBetween(base.detailed[id], f, elapsed)
	}
	shown := worst(all, maxInstances, holder.condition)
	s.FurtherStatuses = len(all) - len(shown)
	room := maxAllMembers
	for _, h := range shown {
		members := worst(h.members, min(maxMembers, room), func(m steady.Status) condition { return conditionOf(m.State, false) })
		room -= len(members)
		s.FurtherStatuses += len(h.members) - len(members)
		of := policy(identify(h.Policy, h.Name))
		of.Instances = append(of.Instances, instanceOf(h, members, control))
	}
	s.Policies = make([]Policy, 0, len(policies))
	for _, of := range policies {
		s.Policies = append(s.Policies, *of)
	}
	slices.SortFunc(s.Policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Name, b.Name))
	})
	return s, minute
}

// worst returns at most limit of all, in their order: those that most ask for attention.
func worst[T any](all []T, limit int, of func(T) condition) []T {
	if len(all) <= limit {
		return all
	}
	order := make([]int, len(all))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(of(all[b]), of(all[a])) })
	order = order[:limit]
	slices.Sort(order)
	chosen := make([]T, 0, limit)
	for _, n := range order {
		chosen = append(chosen, all[n])
	}
	return chosen
}

func instanceOf(h holder, members []steady.Status, control bool) Instance {
	i := Instance{ID: h.ID, State: clip(h.State), DryRun: h.DryRun, Levels: levelsOf(h.Status), Switches: switchesOf(h.Status, control)}
	for _, m := range members {
		i.Members = append(i.Members, Member{
			Key: clip(m.Key), State: clip(m.State), Levels: levelsOf(m), Switches: switchesOf(m, control),
		})
	}
	if len(h.members) > 0 {
		i.MembersByState = map[string]int{}
	}
	for _, m := range h.members {
		state := clip(m.State)
		if _, known := i.MembersByState[state]; !known && len(i.MembersByState) >= maxStateCounts {
			state = other
		}
		i.MembersByState[state]++
	}
	return i
}

// levelsOf returns the levels of s by the names that they have in JSON, which knows no
// infinity.
func levelsOf(s steady.Status) map[string]float64 {
	levels := make(map[string]float64, len(s.Levels))
	for _, l := range s.Levels {
		if len(levels) < maxLevels && !math.IsNaN(l.Value) && !math.IsInf(l.Value, 0) {
			levels[levelName(l.Name)] = l.Value
		}
	}
	return levels
}

// levelName returns the name of a level in JSON.
func levelName(name string) string {
	underscored := strings.ReplaceAll(clip(name), " ", "_")
	if name == steady.LevelTimeLimit || name == steady.LevelOpenFor {
		return underscored + "_seconds"
	}
	return underscored
}

func switchesOf(s steady.Status, control bool) []string {
	if !control {
		return nil
	}
	var names []string
	for _, w := range s.Switches[:min(len(s.Switches), maxSwitches)] {
		names = append(names, clip(w.Name))
	}
	return names
}
