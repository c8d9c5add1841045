package lab

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// What the text and the page have in common: the report's numbers as a person reads
// them. All strings that users made up have gone through plain.

// An armRow is what one of the two did in one phase.
type armRow struct {
	Phase, Arm                                  string
	Offered, OK, Availability, Interval         string
	P50, P99, P999, Max                         string
	Attempts, Amplification, Rejected, Overflow string
	Injected, Errors                            []string
	Begins                                      bool // the rows of its phase
}

// measured are the phases that have numbers, in their order.
var measured = []Phase{PhaseBaseline, PhaseFault, PhaseRecovery}

// tallyOf returns the tally of a phase, and whether there is one.
func tallyOf(tallies []Tally, phase Phase) (Tally, bool) {
	for _, t := range tallies {
		if t.Phase == phase {
			return t, true
		}
	}
	return Tally{}, false
}

// armRows returns the rows of all phases, the control's below the system's.
func (r Report) armRows() []armRow {
	var rows []armRow
	for _, phase := range measured {
		for _, a := range r.arms() {
			if t, ok := tallyOf(a.Phases, phase); ok {
				row := t.row(a.name)
				row.Begins = len(rows) == 0 || rows[len(rows)-1].Phase != row.Phase
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// A namedArm is an arm with its name.
type namedArm struct {
	name string
	Arm
}

func (r Report) arms() []namedArm {
	arms := []namedArm{{"system", r.System}}
	if r.Control != nil {
		arms = append(arms, namedArm{"control", *r.Control})
	}
	return arms
}

func (t Tally) row(arm string) armRow {
	row := armRow{
		Phase: string(t.Phase), Arm: arm, Offered: thousands(t.Offered), OK: thousands(t.OK),
		Availability: dash, Interval: dash, P50: dash, P99: dash, P999: dash, Max: dash,
		Attempts: thousands(t.Attempts), Amplification: dash, Rejected: thousands(t.Rejected), Overflow: thousands(t.Overflow),
		Injected: mostFirst(t.Injected), Errors: mostFirst(t.Errors),
	}
	if t.Offered > 0 {
		row.Availability, row.Interval = shareText(t.Availability), intervalText(t.Availability, t.Low, t.High)
	}
	if t.OK > 0 {
		row.P50, row.P99, row.P999, row.Max = spanText(t.P50), spanText(t.P99), spanText(t.P999), spanText(t.Max)
	}
	if t.Offered > t.Overflow {
		row.Amplification = ratioText(t.Amplification)
	}
	return row
}

// mostFirst returns what there is of each, such as "12,001 × hang", most first.
func mostFirst(counts map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = thousands(counts[name]) + " × " + cmp.Or(plain(name), `""`)
	}
	return names
}

// A checkRow is one check of the system, and the same of the control.
type checkRow struct {
	Phase, Name, Bound string
	Begins             bool // the rows of its phase
	System, Control    finding
}

// A finding is what a check measured. It is empty if there is none.
type finding struct {
	Value, Why string
	Verdict    Verdict
	Nearly     bool
}

// checkRows pairs the checks of the two. The control has the same, if it got as far.
func (r Report) checkRows() []checkRow {
	var rows []checkRow
	for i, a := range r.arms() {
		ofSystem := len(rows)
		for _, c := range a.Checks {
			row := checkRow{Phase: plain(string(c.Phase)), Name: plain(c.shortName()), Bound: plain(c.Bound)}
			f := finding{plain(c.Value), plain(c.Why), c.Verdict, c.Nearly}
			if i == 0 {
				row.System = f
				rows = append(rows, row)
				continue
			}
			row.Control = f
			at := slices.IndexFunc(rows[:ofSystem], func(o checkRow) bool {
				return o.Phase == row.Phase && o.Name == row.Name && o.Bound == row.Bound && o.Control == finding{}
			})
			if at < 0 {
				rows = append(rows, row)
			} else {
				rows[at].Control = f
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b checkRow) int {
		return cmp.Compare(slices.Index(measured, Phase(a.Phase)), slices.Index(measured, Phase(b.Phase)))
	})
	for i := range rows {
		rows[i].Begins = i == 0 || rows[i-1].Phase != rows[i].Phase
	}
	return rows
}

// shortName returns c's name without its bound, which is shown beside it.
func (c Check) shortName() string {
	name := strings.Replace(c.Name, " "+c.Bound, "", 1)
	if _, bound, ok := strings.Cut(c.Bound, " "); ok {
		name = strings.Replace(name, " within "+bound, "", 1)
	}
	return name
}

// Mark returns what a check found in a word, behind a sign for it.
func (f finding) Mark() string {
	switch {
	case f.Verdict == "":
		return ""
	case f.nearly():
		return "~ nearly missed"
	}
	return f.sign() + " " + plain(string(f.Verdict))
}

// sign returns what a check found in one character, or "" if there is no such check.
func (f finding) sign() string {
	switch {
	case f.Verdict == "":
		return ""
	case f.nearly():
		return "~"
	}
	return f.Verdict.sign()
}

func (f finding) nearly() bool { return f.Nearly && f.Verdict == Met }

// Class returns how the page shows what a check found.
func (f finding) Class() string {
	switch {
	case f.nearly():
		return "v-nearly"
	case f.Verdict == Met, f.Verdict == Deviated, f.Verdict == Inconclusive, f.Verdict == Error:
		return "v-" + string(f.Verdict)
	}
	return ""
}

// sign returns a verdict in one character.
func (v Verdict) sign() string {
	switch v {
	case Met:
		return "✓"
	case Deviated:
		return "✗"
	case Aborted:
		return "■"
	case Inconclusive:
		return "?"
	}
	return "!"
}
