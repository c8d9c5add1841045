package steadydebug

import (
	"slices"

	"github.com/steady-go/steady"
)

// The states that this package knows, by the words of the policies, which it does not
// import. A state that it does not know is shown as it is.
const (
	closed   = "closed"
	shedding = "shedding"
	armed    = "armed"
)

// staleOnError is where a cache has answers from that it made up for, in its own words.
const staleOnError = "stale on error"

// A condition is how much a state asks for attention.
type condition int

const (
	fine condition = iota
	byHand
	uneasy
	troubled
)

var conditions = map[string]condition{
	"half-open": uneasy,
	"open":      troubled, "forced-open": troubled, shedding: troubled, armed: troubled,
	"forced-closed": byHand, "disabled": byHand,
}

// conditionOf returns that of a policy, by its state and whether it is in a dry run.
func conditionOf(state string, dryRun bool) condition {
	c := conditions[state]
	if dryRun {
		c = max(c, byHand)
	}
	return c
}

func (c condition) String() string {
	return [...]string{"fine", "byhand", "uneasy", "troubled"}[c]
}

// maxFirst is how many policies a Mention names.
const maxFirst = 20

func (m *Mention) add(r Ref) {
	m.Count++
	if len(m.First) < maxFirst {
		m.First = append(m.First, r)
	}
}

// summary returns one that says nothing yet, with lists that JSON does not call null.
func summary() (s Summary) {
	for _, m := range []*Mention{&s.NotClosed, &s.Shedding, &s.Armed, &s.DryRun} {
		m.First = []Ref{}
	}
	return s
}

// add takes s into account, which may be of a member of a group.
func (sum *Summary) add(s steady.Status, member bool) {
	ref := Ref{clip(s.Policy), clip(s.Name), clip(s.Key)}
	if slices.Contains(s.States, closed) {
		sum.Breakers++
		if s.State != closed {
			sum.NotClosed.add(ref)
		}
	}
	switch s.State {
	case shedding:
		sum.Shedding.add(ref)
	case armed:
		sum.Armed.add(ref)
	}
	if s.DryRun && !member { // its group says so
		sum.DryRun.add(ref)
	}
}
