package lab

import (
	"bytes"
	"html/template"
	"strings"
)

// HTML returns r as one page that needs nothing else, neither scripts nor files from
// elsewhere: the verdict, and why; the timeline (see [Report.SVG]); all tables, without
// the limits of [Report.Text]; and how to replay the seed that did worst. It can be
// printed and read on a phone, and is dark where the reader prefers that. Names and errors are
// shown as the text that they are.
func (r Report) HTML() []byte {
	seed, how := r.replay()
	p := page{
		Name: r.name(), Hypothesis: plain(r.Hypothesis), Verdict: r.verdict(), Sign: r.Verdict.sign(),
		Figures: r.figures(), Picture: template.HTML(r.draw(false)), // in which all is escaped
		Rows: r.armRows(), Checks: r.checkRows(), Marks: r.markRows(), Control: r.Control != nil,
		Facts: r.facts(), Seed: seed, Replay: how,
	}
	for _, reason := range r.Reasons {
		p.Reasons = append(p.Reasons, plain(reason))
	}
	for _, row := range p.Rows {
		p.Failed = p.Failed || len(row.Errors) > 0
	}
	t := template.Must(template.New("page").Funcs(template.FuncMap{
		"upper": strings.ToUpper,
		"next":  func(i int) int { return i + 1 },
	}).Parse(pageTemplate))
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		panic(err) // the template does not fit the page
	}
	return b.Bytes()
}

// A page is what the template shows.
type page struct {
	Name, Hypothesis, Verdict, Sign string
	Reasons                         []string
	Figures                         []figure
	Picture                         template.HTML
	Rows                            []armRow
	Failed                          bool // any request
	Checks                          []checkRow
	Marks                           []markRow
	Control                         bool
	Facts                           []fact
	Seed, Replay                    string
}

// A figure is a number that people ask for first.
type figure struct{ Name, System, Control string }

// figures returns how the two did during the fault.
func (r Report) figures() []figure {
	figures := []figure{{Name: "fault: availability"}, {Name: "fault: p99"}, {Name: "fault: attempts a request"}, {Name: "recovers"}}
	none := true
	for i, a := range r.arms() {
		t, ok := tallyOf(a.Phases, PhaseFault)
		if !ok {
			continue
		}
		none = false
		row := t.row(a.name)
		for j, text := range []string{row.Availability, row.P99, row.Amplification, a.Recovery.short()} {
			if i == 0 {
				figures[j].System = text
			} else {
				figures[j].Control = text
			}
		}
	}
	if none {
		return nil
	}
	return figures
}
