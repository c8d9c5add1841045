package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

//go:embed index.html
var indexPage string

// A row is what is shown of a report, among others.
type row struct {
	Name, About, Hypothesis string
	Verdict                 lab.Verdict
	Time                    string
	Reasons                 []string
	Missed                  []string // by the control
	Figures                 []figure
}

// A figure is one number of the system and of its control.
type figure struct{ Name, System, Control string }

func newRow(r lab.Report) row {
	out := row{Name: r.Name, Hypothesis: r.Hypothesis, Verdict: r.Verdict, Reasons: r.Reasons, Missed: missed(r), Time: "one run in real time"}
	if r.Virtual {
		out.Time = fmt.Sprintf("%d seeds in virtual time", len(r.Seeds))
	}
	for _, phase := range []lab.Phase{lab.PhaseFault, lab.PhaseRecovery} {
		out.Figures = append(out.Figures, newFigure(r, "ok in "+string(phase), func(a lab.Arm) string { return available(a, phase) }))
	}
	out.Figures = append(out.Figures, newFigure(r, "recovered", recovered))
	return out
}

// missed returns in which ways the control missed the hypothesis.
func missed(r lab.Report) (out []string) {
	if r.Control == nil {
		return nil
	}
	for _, c := range r.Control.Checks {
		if c.Verdict == lab.Deviated {
			out = append(out, fmt.Sprintf("%s: %s: %s", c.Phase, c.Name, c.Why))
		}
	}
	return out
}

func newFigure(r lab.Report, name string, of func(lab.Arm) string) figure {
	f := figure{Name: name, System: of(r.System), Control: "-"}
	if r.Control != nil {
		f.Control = of(*r.Control)
	}
	return f
}

// available returns the availability in a phase. It is cut, not rounded: 99.96 % is not
// 100 %.
func available(a lab.Arm, phase lab.Phase) string {
	for _, t := range a.Phases {
		if t.Phase == phase && t.Offered > 0 {
			tenths := t.OK * 1000 / t.Offered
			return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
		}
	}
	return "-"
}

// recovered returns how long after the fault all was well again.
func recovered(a lab.Arm) string {
	switch r := a.Recovery; {
	case r.Runs == 0:
		return "-"
	case r.Never == r.Runs:
		return "never"
	case r.Never > 0:
		return fmt.Sprintf("not in %d of %d", r.Never, r.Runs)
	case r.Max == 0:
		return "at once"
	default:
		return "in " + r.Max.Round(time.Second).String()
	}
}

// summary returns a table of reports.
func summary(reports []lab.Report) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tverdict\tok in fault\t(control)\tok in recovery\t(control)\trecovered\t(control)")
	for _, report := range reports {
		r := newRow(report)
		fmt.Fprintf(t, "%s\t%s", r.Name, r.Verdict)
		for _, f := range r.Figures {
			fmt.Fprintf(t, "\t%s\t%s", f.System, f.Control)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // a Builder takes everything
	return b.String()
}

// readReport returns the report of one experiment that is in a folder.
func readReport(dir, name string) (lab.Report, error) {
	data, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return lab.Report{}, err
	}
	return lab.ReadJSON(data)
}

// writeIndex writes a page with all reports that are in dir, of this run and of earlier
// ones, and returns its path.
func writeIndex(dir string, gallery []exhibit) (string, error) {
	var rows []row
	for _, x := range gallery {
		r, err := readReport(dir, x.name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return "", fmt.Errorf("%s.json, in %s: %w", x.name, dir, err)
		}
		out := newRow(r)
		out.About = x.about
		rows = append(rows, out)
	}
	page, err := template.New("index").Funcs(template.FuncMap{
		"upper": func(v lab.Verdict) string { return strings.ToUpper(string(v)) },
	}).Parse(indexPage)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, rows); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "index.html")
	return path, os.WriteFile(path, b.Bytes(), 0o644)
}
