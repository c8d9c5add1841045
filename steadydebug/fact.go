package steadydebug

import (
	"maps"
	"slices"
	"strings"

	"github.com/steady-go/steady"
)

// A fact is a level, or two that belong together, in words.
type fact struct {
	Label, Text string
	Bar         bool // of Value in 0 to Max
	Value, Max  float64
	Scarce      bool // it is bad when the bar is short, not when it is long
	Bad         bool
}

// facts returns levels in words, in an order that is always the same. Those that say
// nothing while they are 0 are left out then.
func facts(levels map[string]float64) []fact {
	left := maps.Clone(levels)
	take := func(name string) (float64, bool) {
		name = levelName(name)
		v, ok := left[name]
		delete(left, name)
		return v, ok
	}
	var all []fact
	bounded := func(label, name, limit string) {
		v, ok := take(name)
		bound, hasBound := take(limit)
		switch {
		case ok && hasBound:
			all = append(all, fact{Label: label, Text: number(v) + " of " + number(bound), Bar: bound > 0, Value: v, Max: bound})
		case ok:
			all = append(all, fact{Label: label, Text: number(v)})
		case hasBound:
			all = append(all, fact{Label: label + ", at most", Text: number(bound)})
		}
	}
	bounded("In flight", steady.LevelInFlight, steady.LevelLimit)
	bounded("Waiting", steady.LevelWaiting, steady.LevelPlaces)
	bounded("Retry tokens", steady.LevelTokens, steady.LevelMaxTokens)
	if n := len(all) - 1; n >= 0 && all[n].Label == "Retry tokens" {
		all[n].Scarce = true
	}
	bounded("Entries", steady.LevelEntries, steady.LevelMaxEntries)
	if n := len(all) - 1; n >= 0 && all[n].Label == "Entries" {
		all[n].Bar = false // a cache that is full is as it should be
	}
	if v, ok := take(steady.LevelTimeLimit); ok {
		all = append(all, fact{Label: "Time limit", Text: seconds(v)})
	}
	if window := inWindow(take); window != "" {
		all = append(all, fact{Label: "In its window", Text: window})
	}
	if v, ok := take(steady.LevelAbandoned); ok {
		all = append(all, fact{Label: "Abandoned, still running", Text: number(v), Bad: v > 0})
	}
	unlessZero := func(label, name string, text func(float64) string, bad bool) {
		if v, ok := take(name); ok && v != 0 {
			all = append(all, fact{Label: label, Text: text(v), Bad: bad})
		}
	}
	unlessZero("Open for another", steady.LevelOpenFor, seconds, false)
	unlessZero("Probes under way", steady.LevelProbes, number, false)
	unlessZero("Refused to shed load", steady.LevelShare, percent, true)
	unlessZero("Calls without a breaker, since the group is full", steady.LevelUnguarded, number, true)
	unlessZero("Panics of hooks", steady.LevelHookPanics, number, true)
	for _, name := range slices.Sorted(maps.Keys(left)) {
		all = append(all, fact{Label: strings.ReplaceAll(name, "_", " "), Text: number(left[name])})
	}
	return all
}

// inWindow returns the window of a breaker in words, or "" without one.
func inWindow(take func(string) (float64, bool)) string {
	calls, ok := take(steady.LevelWindowCalls)
	failures, _ := take(steady.LevelWindowFailures)
	slow, hasSlow := take(steady.LevelWindowSlow)
	if !ok {
		return ""
	}
	noun := " calls, "
	if calls == 1 {
		noun = " call, "
	}
	text := number(calls) + noun + number(failures) + " failed"
	if hasSlow {
		text += ", " + number(slow) + " slow"
	}
	return text
}

// High and Low are where a bar begins to be worrying.
func (f fact) High() float64 { return f.Max * 0.8 }
func (f fact) Low() float64  { return f.Max * 0.2 }
