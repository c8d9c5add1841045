package steadydebug

import (
	"bytes"
	"embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:embed page.html page.css page.js
var files embed.FS

// pages render the page, and "panel", the part of it that the script renews.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"named": named, "number": number, "count": count, "seconds": seconds, "percent": percent,
	"latency": latency,
	"section": sectionID,
	"clock":   func(t time.Time) string { return t.Format("15:04:05") },
	"stamp":   func(t time.Time) string { return t.Format(time.RFC3339Nano) },
	"look":    func(state string) string { return conditionOf(state, false).String() },
}).ParseFS(files, "page.html"))

// shownMoments are listed at once; older ones are folded away.
const shownMoments = 6

// A view is a Status as the page shows it.
type view struct {
	Status
	Control  bool
	Sections []section
	Seconds  float64 // over how long rates are taken
	Recent   []Moment
	Older    []Moment
}

// A section shows one Policy.
type section struct {
	Policy
	ID        string
	Condition condition
	Trend     *trend // nil as long as there is too little of it
	Rows      []row
	Forms     []form // one for each instance, and with its members
	Last      []Moment
}

// A row says how often one thing happened.
type row struct {
	Label string
	Part  bool // of the row above
	Bad   bool
	Count
}

// A form is an instance or a member, with its switches.
type form struct {
	ID       string // in the page
	Of       Ref
	Instance uint64
	Member   bool
	State    string
	DryRun   bool
	Facts    []fact
	Switches []string
	Members  []form
	Tally    string // how many members are in which state
	Hidden   int    // members that are not shown
}

// render writes the named template.
func render(name string, s Status, minute []look, control bool) ([]byte, error) {
	v := view{Status: s, Control: control}
	v.Recent = s.Moments[:min(len(s.Moments), shownMoments)]
	v.Older = s.Moments[len(v.Recent):]
	for _, p := range s.Policies {
		v.Sections = append(v.Sections, sectionOf(p, s, minute))
		if p.Calls != nil {
			v.Seconds = p.Calls.Seconds
		}
	}
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, v); err != nil {
		return nil, fmt.Errorf("steadydebug: %w", err)
	}
	return out.Bytes(), nil
}

// sectionID is the ID in the page of the section of a policy.
func sectionID(policy, name string) string { return "p-" + digest(policy+"\x00"+name) }

// digest makes of any text a part of an ID. Such an ID stays when others come, so that the
// focus on a button does not move to another.
func digest(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

func sectionOf(p Policy, s Status, minute []look) section {
	v := section{Policy: p, ID: sectionID(p.Policy, p.Name), Trend: trendOf(minute, identity{p.Policy, p.Name}), Rows: rowsOf(p.Calls)}
	for _, m := range s.Moments {
		if m.Policy == p.Policy && m.Name == p.Name && len(v.Last) < 3 {
			v.Last = append(v.Last, m)
		}
	}
	for n, i := range p.Instances {
		id := i.ID
		if id == 0 {
			id = uint64(n)
		}
		f := form{
			ID: fmt.Sprintf("%s-%d", v.ID, id), Of: Ref{Policy: p.Policy, Name: p.Name}, Instance: i.ID,
			State: i.State, DryRun: i.DryRun, Facts: facts(i.Levels), Switches: i.Switches, Tally: tallyOf(i.MembersByState),
		}
		v.Condition = max(v.Condition, conditionOf(i.State, i.DryRun))
		for _, m := range i.Members {
			f.Members = append(f.Members, form{
				ID: f.ID + "-" + digest(m.Key), Of: Ref{p.Policy, p.Name, m.Key}, Instance: i.ID, Member: true,
				State: m.State, Facts: facts(m.Levels), Switches: m.Switches,
			})
			v.Condition = max(v.Condition, conditionOf(m.State, false))
		}
		for _, n := range i.MembersByState {
			f.Hidden += n
		}
		f.Hidden -= len(f.Members)
		v.Forms = append(v.Forms, f)
	}
	return v
}

// rowsOf leaves out what has never happened, but for successes and failures.
func rowsOf(c *Calls) []row {
	if c == nil {
		return nil
	}
	rows := []row{{Label: "success", Count: c.Success}}
	for _, r := range c.SuccessFrom {
		rows = append(rows, row{Label: named(r.Reason), Part: true, Bad: r.Reason == staleOnError, Count: r.Count})
	}
	rows = append(rows, row{Label: "failure", Bad: true, Count: c.Failure})
	add := func(label string, bad bool, all Count, each []Reason) {
		if all.Total == 0 {
			return
		}
		rows = append(rows, row{Label: label, Bad: bad, Count: all})
		for _, r := range each {
			rows = append(rows, row{Label: named(r.Reason), Part: true, Count: r.Count})
		}
	}
	add("ignored", false, c.Ignored, nil)
	add("rejected", true, c.Rejected, c.RejectedFor)
	add("would be rejected", false, c.DryRun, c.DryRunFor)
	add("retried", false, c.Retries, nil)
	add("abandoned", true, c.Abandoned, nil)
	add("faults injected", true, c.Injected, c.InjectedFor)
	add("loads", false, c.Loads, c.LoadsFor)
	add("loads that brought nothing", true, c.Fruitless, nil)
	add("evicted", false, c.Evicted, c.EvictedFor)
	return rows
}

// tallyOf says how many are in which state, such as "8 closed, 2 open".
func tallyOf(byState map[string]int) string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(byState)) {
		parts = append(parts, fmt.Sprintf("%d %s", byState[state], named(state)))
	}
	return strings.Join(parts, ", ")
}
