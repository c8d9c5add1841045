package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// shown returns the phase's name in the picture.
func (p Phase) shown() string {
	if p == PhaseWarmup {
		return "warm-up"
	}
	return string(p)
}

// phaseLabels writes the names of the phases above them, each as near to its middle as
// the plots' ends allow. A name that would run into the one before goes up a line.
func (d *drawing) phaseLabels() {
	type label struct {
		text    string
		x, half float64
		row     int
	}
	var labels []label
	var ends []float64 // of the rows
	for _, s := range d.spans {
		text := s.phase.shown()
		half := textWide(text, 12) / 2
		x := (d.x(s.from) + d.x(s.till)) / 2
		x = min(max(x, svgLeft+half), svgRight-half)
		row := 0
		for row < len(ends) && ends[row] > x-half {
			row++
		}
		if row == len(ends) {
			ends = append(ends, 0)
		}
		ends[row] = x + half + 8
		labels = append(labels, label{text, x, half, row})
	}
	d.y += 10 + 15*float64(len(ends))
	for i, l := range labels {
		y := d.y - 15*float64(l.row)
		d.anchored(l.x, y, "head", "middle", l.text)
		s := d.spans[i]
		fmt.Fprintf(d, `<rect class="bar %s" x="%.1f" y="%.1f" width="%.1f" height="4"/>`+"\n", s.phase, d.x(s.from), d.y+5, d.x(s.till)-d.x(s.from))
	}
	d.y += 10
}

// A pill is the number of a mark, or of several, above the plots.
type pill struct {
	x           float64
	first, last int
}

func (p pill) text() string {
	if p.first == p.last {
		return strconv.Itoa(p.first)
	}
	return fmt.Sprintf("%d–%d", p.first, p.last)
}

func (p pill) half() float64 { return 5 + textWide(p.text(), 11)/2 }

// pills writes the numbers of the marks, as the list below has them, above their
// moments. Those that would run into each other share a pill.
func (d *drawing) pills() {
	var pills []pill
	for i, m := range d.marks {
		for _, at := range m.At {
			pills = append(pills, pill{d.x(at), i + 1, i + 1})
		}
	}
	if len(pills) == 0 {
		return
	}
	slices.SortStableFunc(pills, func(a, b pill) int { return cmp.Compare(a.x, b.x) })
	apart := pills[:0]
	for _, p := range pills {
		apart = append(apart, p)
		for n := len(apart); n > 1; n-- {
			a, b := &apart[n-2], apart[n-1]
			if a.x+a.half()+2 <= b.x-b.half() {
				break
			}
			a.first, a.last = min(a.first, b.first), max(a.last, b.last)
			apart = apart[:n-1]
		}
	}
	d.y += 22
	for _, p := range apart {
		fmt.Fprintf(d, `<rect class="pill" x="%.1f" y="%.1f" width="%.1f" height="16" rx="8"/>`+"\n", p.x-p.half(), d.y-12, 2*p.half())
		d.anchored(p.x, d.y, "pill-text", "middle", p.text())
	}
	d.y += 4
}

// clock writes the scale of time below the plots.
func (d *drawing) clock() {
	step := clockSteps[len(clockSteps)-1]
	for _, s := range clockSteps {
		if d.total/s <= svgClock {
			step = s
			break
		}
	}
	for d.total/step > svgClock {
		step *= 2
	}
	for at := time.Duration(0); at <= d.total; at += step {
		fmt.Fprintf(d, `<path class="grid" d="M%.1f,%.1fv5"/>`+"\n", d.x(at), d.y)
		d.anchored(d.x(at), d.y+18, "tick", "middle", spanText(at))
	}
	d.y += 36
	d.anchored((svgLeft+svgRight)/2, d.y, "soft", "middle", "time since the beginning of the run")
}

// svgClock is how many steps the scale of time has at most.
const svgClock = 12

var clockSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
}

// markList says what the pills stand for.
func (d *drawing) markList() {
	if len(d.marks) > 0 {
		d.y += 10
	}
	timeAt := svgLeft + 20
	whatAt := timeAt
	for _, m := range d.marks[:min(len(d.marks), svgMarks)] {
		whatAt = max(whatAt, timeAt+textWide(m.When(), 12)+14)
	}
	nameAt := whatAt + 92
	for i, m := range d.marks {
		d.y += 18
		if i == svgMarks {
			d.text(timeAt, d.y, "soft", fmt.Sprintf("and %d more", len(d.marks)-i))
			break
		}
		number := pill{svgLeft, i + 1, i + 1}
		fmt.Fprintf(d, `<rect class="pill" x="%.1f" y="%.1f" width="%.1f" height="16" rx="8"/>`+"\n", number.x-number.half(), d.y-12, 2*number.half())
		d.anchored(number.x, d.y, "pill-text", "middle", number.text())
		d.text(timeAt, d.y, "soft", m.When())
		d.text(whatAt, d.y, "head", clip(m.What, 12))
		d.text(nameAt, d.y, "", clip(m.Text(), letters(svgRight-nameAt, 12)))
	}
}
