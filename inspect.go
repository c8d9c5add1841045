package steady

import "slices"

// An Inspector can tell what it holds now. All policies of this module are, and
// chains of them, whether they have a hook or not. Adapters that show policies, such
// as steadyotel and steadydebug, know them by this alone.
type Inspector interface {
	// Inspect returns the present status, and for a group those of its members after
	// its own. What it returns is the caller's. It is safe at any time, and cheap
	// enough for every scrape of a metric, not for every call.
	Inspect() []Status
}

// A Status is what a policy holds at one moment, in words that are the same for all
// kinds of policies.
type Status struct {
	Policy, Name, Key string // as in an [Event]

	// ID tells apart policies of this process, those with the same name too. The
	// members of a group have that of the group. It is 0 for policies from elsewhere.
	ID uint64

	// State is the present state, such as "open", and States are all that there are.
	// They are empty for a policy that has none. States must not be changed.
	State  string
	States []string

	// DryRun says that the policy refuses nothing, and only reports what it would have
	// refused.
	DryRun bool

	Levels   []Level
	Switches []Switch
}

// A Level is a number that a policy holds. Names that are not among those below are to
// be left alone.
type Level struct {
	Name  string
	Value float64
}

// The names of levels. Where a policy holds one its value is told, also when it is 0.
const (
	LevelInFlight       = "in flight"       // calls that were let in, or that an injector of faults lets hang
	LevelLimit          = "limit"           // calls that may be in flight at once
	LevelWaiting        = "waiting"         // calls in the queue
	LevelPlaces         = "places"          // calls that the queue can hold
	LevelTokens         = "tokens"          // left in the budget of a retry
	LevelMaxTokens      = "max tokens"      // in that budget when it is full
	LevelTimeLimit      = "time limit"      // of a call, in seconds
	LevelAbandoned      = "abandoned"       // calls that were abandoned and still run
	LevelWindowCalls    = "window calls"    // calls in the window that succeeded or failed
	LevelWindowFailures = "window failures" // those that failed
	LevelWindowSlow     = "window slow"     // those that were slow
	LevelProbes         = "probes"          // probes under way
	LevelOpenFor        = "open for"        // seconds until an open breaker probes
	LevelShare          = "share refused"   // the share of the calls that is refused now to shed load, from 0 to 1
	LevelUnguarded      = "unguarded"       // calls so far for which there was no room in a group
	LevelEntries        = "entries"         // in a cache; keys in the memory store of a guard
	LevelMaxEntries     = "max entries"     // that it may hold
	LevelHookPanics     = "hook panics"     // panics of the hook so far
)

// A Switch changes a policy by hand, such as "force open". Throw may be called at any
// time, more than once, and from any goroutine. Where it changes nothing it is harmless.
type Switch struct {
	Name  string
	Throw func()
}

// Level returns the value of the level of that name, or false if s has none.
func (s Status) Level(name string) (value float64, ok bool) {
	i := slices.IndexFunc(s.Levels, func(l Level) bool { return l.Name == name })
	if i < 0 {
		return 0, false
	}
	return s.Levels[i].Value, true
}

// Inspect returns the status of each policy in the chain that is an Inspector, once,
// outermost first.
func (p pipeline) Inspect() []Status {
	var all []Status
	seen := make(map[uint64]bool)
	for _, l := range p {
		i, ok := l.Of.(Inspector)
		if !ok {
			continue
		}
		s := i.Inspect()
		if len(s) > 0 && s[0].ID != 0 {
			if seen[s[0].ID] {
				continue
			}
			seen[s[0].ID] = true
		}
		all = append(all, s...)
	}
	return all
}
