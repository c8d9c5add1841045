package lab

import (
	"fmt"
	"strings"
)

const (
	textWidth = 100 // columns at most, as the logs of most CI systems show
	textMarks = 12  // that are listed
	textKinds = 3   // of errors that are listed for an arm and a phase
	textName  = 38  // columns of one fault in a list
	textError = 150 // columns of one error
)

// Text returns r as tables for a terminal or a log, at most 100 columns wide and without
// colour: the verdict first, and why; then the phases, the system's numbers above the
// control's; the checks; and how to replay the seed that did worst.
//
// An availability is cut to the digits that matter, and is 100 % only if no request
// failed. Durations are rounded to three digits.
func (r Report) Text() string {
	var b textPage
	b.paragraph(strings.ToUpper(r.verdict())+"  ", r.name())
	if r.Hypothesis != "" {
		b.paragraph("", plain(r.Hypothesis))
	}
	b.line("")
	why := "because"
	if r.Verdict == Met {
		why = "note"
	}
	for _, reason := range r.Reasons {
		b.fact(why, plain(reason))
		why = ""
	}
	for _, f := range r.facts() {
		b.fact(f.Name, f.Text)
	}
	rows := r.armRows()
	b.answers(rows)
	b.work(rows)
	b.failures(rows)
	b.checks(r)
	b.marks(r.markRows())
	b.line("")
	head := "recovers"
	for _, a := range r.arms() {
		if s := a.Recovery.text(); s != "" {
			b.fact(head, a.name+": "+s)
			head = ""
		}
	}
	if seed, how := r.replay(); seed != "" {
		b.fact("worst", "seed "+seed)
		b.fact("replay", how)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// A textPage gathers lines.
type textPage struct{ strings.Builder }

// glue is a space at which a line is not broken.
const glue = "\u00a0"

func (b *textPage) line(s string) {
	b.WriteString(strings.TrimRight(strings.ReplaceAll(s, glue, " "), " "))
	b.WriteByte('\n')
}

// paragraph writes s behind head, with further lines below its beginning.
func (b *textPage) paragraph(head, s string) {
	head = clip(head, textWidth/4)
	for _, line := range wrap(s, textWidth-cells(head)) {
		b.line(head + line)
		head = strings.Repeat(" ", cells(head))
	}
}

func (b *textPage) fact(head, s string) { b.paragraph(fmt.Sprintf("%-10s", head), s) }

func (b *textPage) answers(rows []armRow) {
	t := newTextTable("<phase", "<", ">offered", ">ok", ">availability", ">95 % interval", ">p50", ">p99", ">p99.9")
	for _, row := range rows {
		t.add(row.Phase, row.Arm, row.Offered, row.OK, row.Availability, row.Interval, row.P50, row.P99, row.P999)
	}
	t.write(b)
}

func (b *textPage) work(rows []armRow) {
	t := newTextTable("<phase", "<", ">attempts", ">a request", ">rejected", ">overflow", "<injected")
	for _, row := range rows {
		t.add(row.Phase, row.Arm, row.Attempts, row.Amplification, row.Rejected, row.Overflow, listed(row.Injected))
	}
	t.write(b)
}

// listed returns things that users named, in one line, which is broken between them.
func listed(things []string) string {
	var short []string
	for _, s := range things {
		short = append(short, strings.ReplaceAll(clip(s, textName), " ", glue))
	}
	return strings.Join(short, "; ")
}

// failures lists what requests failed with.
func (b *textPage) failures(rows []armRow) {
	t := newTextTable("<phase", "<", "<failed with")
	for _, row := range rows {
		kinds := row.Errors
		if more := len(kinds) - textKinds; more > 0 {
			kinds = append(kinds[:textKinds:textKinds], "and "+counted(more, "more kind"))
		}
		for i, kind := range kinds {
			if i > 0 {
				row.Arm = ""
			}
			t.add(row.Phase, row.Arm, clip(kind, textError))
		}
	}
	t.write(b)
}

func (b *textPage) checks(r Report) {
	t := newTextTable("<phase", "<check", ">bound", ">system", "<", ">control", "<")
	if r.Control == nil {
		t.head[5] = ""
	}
	for _, row := range r.checkRows() {
		t.add(row.Phase, clip(row.Name, 28), clip(row.Bound, 12),
			clip(row.System.Value, 12), row.System.Mark(), clip(row.Control.Value, 12), row.Control.sign())
	}
	t.write(b)
}

func (b *textPage) marks(rows []markRow) {
	t := newTextTable(">at", "<done", "<")
	for i, m := range rows {
		if i == textMarks {
			t.add("", "", fmt.Sprintf("and %d more", len(rows)-i))
			break
		}
		t.add(m.When(), clip(m.What, 20), m.Text())
	}
	t.write(b)
}

// A textTable is a table whose last column is wrapped. What stands in the first column
// is written once for rows that follow each other.
type textTable struct {
	head  []string
	right []bool
	rows  [][]string
}

// newTextTable returns a table with these heads, each behind "<" or ">" for the side at
// which its column is aligned.
func newTextTable(heads ...string) *textTable {
	t := &textTable{}
	for _, h := range heads {
		t.head = append(t.head, h[1:])
		t.right = append(t.right, h[0] == '>')
	}
	return t
}

func (t *textTable) add(row ...string) { t.rows = append(t.rows, row) }

// write writes the table behind an empty line, or nothing if there are no rows.
func (t *textTable) write(b *textPage) {
	if len(t.rows) == 0 {
		return
	}
	b.line("")
	all := append([][]string{t.head}, t.rows...)
	widths := make([]int, len(t.head))
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	last := len(t.head) - 1
	first := ""
	for n, row := range all {
		line := ""
		for i, cell := range row[:last] {
			if i == 0 && n > 0 && !t.right[0] {
				if cell == first {
					cell = ""
				}
				first = row[0]
			}
			line += align(cell, widths[i], t.right[i]) + "  "
		}
		if t.right[last] {
			b.line(clip(line+align(row[last], widths[last], true), textWidth)) // of numbers beyond all measure
			continue
		}
		line = clip(line, textWidth-min(widths[last], 20))
		start := cells(line)
		for _, part := range wrap(row[last], textWidth-start) {
			b.line(line + part)
			line = strings.Repeat(" ", start)
		}
	}
}

func align(s string, width int, right bool) string {
	pad := strings.Repeat(" ", max(width-cells(s), 0))
	if right {
		return pad + s
	}
	return s + pad
}
