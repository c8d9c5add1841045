package lab

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// The picture is as wide as a slide shows it well. Texts have no measures here: they
// are taken to be as wide as those of a wide font.
const (
	svgWidth  = 960.0
	svgLeft   = 70.0  // of the plots, with room for the scales
	svgRight  = 930.0 // of the plots
	svgMargin = 24.0
	svgLetter = 0.64 // width of a letter by its height
	svgMarks  = 12   // that are listed
)

// SVG returns the timeline of the run with the first seed as a picture, which needs
// nothing else: availability, p99 and attempts of each second, the system's and the
// control's over each other, above the phases and what was done when. It is dark where the
// viewer prefers that.
//
// Of a long run a point of a line stands for several seconds; the axes say for how
// many, and whether it is the worst of them or their mean.
func (r Report) SVG() []byte { return r.draw(true) }

// draw returns the timeline: whole, with title and list of marks, or without where these
// stand beside it.
func (r Report) draw(whole bool) []byte {
	d := &drawing{r: r, arms: r.arms(), marks: r.markRows()}
	d.measure()
	if d.y = -6; whole {
		d.y = 36
		d.title()
	}
	if d.total > 0 {
		d.legend()
		d.phaseLabels()
		d.pills()
		d.availability()
		d.latency()
		d.attempts()
		d.clock()
		if whole {
			d.markList()
		}
	} else {
		d.y += 30
		d.text(svgMargin, d.y, "soft", "There is no timeline: no second was recorded.")
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" class="lab-timeline" role="img" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`,
		svgWidth, d.y+svgMargin, svgWidth, d.y+svgMargin)
	fmt.Fprintf(&out, "\n<title>Timeline of %s</title>\n<style>%s</style>\n", escaped(r.name()), svgStyle)
	fmt.Fprintf(&out, `<rect class="ground" width="%.0f" height="%.0f"/>`+"\n", svgWidth, d.y+svgMargin)
	out.Write(d.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// The colours are told apart by people who cannot tell red from green, and the system's
// line is also the thicker one.
const svgStyle = `
.lab-timeline{font:12px system-ui,sans-serif}
.lab-timeline text{fill:#1b2530}
.lab-timeline .ground{fill:#fff}
.lab-timeline .name{font-size:20px;font-weight:600}
.lab-timeline .what{font-size:13px}
.lab-timeline .head{font-weight:600}
.lab-timeline .soft,.lab-timeline .tick{fill:#566370}
.lab-timeline .tick{font-size:11px}
.lab-timeline .grid{stroke:#566370;stroke-opacity:.22;fill:none}
.lab-timeline .mark{stroke:#566370;stroke-opacity:.75;stroke-dasharray:3 3}
.lab-timeline .abort{stroke:#1b2530;stroke-width:1.5}
.lab-timeline .pill{fill:#566370}
.lab-timeline .pill-text{fill:#fff;font-size:11px;font-weight:600}
.lab-timeline .line{fill:none;stroke-linejoin:round;stroke-linecap:round}
.lab-timeline .system{stroke:#0b5cad;stroke-width:2.4}
.lab-timeline .control{stroke:#c9590c;stroke-width:1.5}
.lab-timeline .offered{stroke:#566370;stroke-width:1.2;stroke-dasharray:1 4}
.lab-timeline .system-area{fill:#0b5cad;fill-opacity:.3}
.lab-timeline .control-area{fill:#c9590c;fill-opacity:.22}
.lab-timeline .warmup{fill:#566370;fill-opacity:.14}
.lab-timeline .baseline{fill:#566370;fill-opacity:.03}
.lab-timeline .fault{fill:#c2185b;fill-opacity:.1}
.lab-timeline .recovery{fill:#00897b;fill-opacity:.1}
.lab-timeline .bar{fill-opacity:.75}
.lab-timeline .verdict-met{fill:#00694f}
.lab-timeline .verdict-deviated,.lab-timeline .verdict-error{fill:#b3261e}
.lab-timeline .verdict-aborted{fill:#8a2f86}
.lab-timeline .verdict-inconclusive{fill:#7a5c00}
@media (prefers-color-scheme:dark){
.lab-timeline text{fill:#e6ebf0}
.lab-timeline .ground{fill:#151b22}
.lab-timeline .soft,.lab-timeline .tick{fill:#a3b0bd}
.lab-timeline .grid,.lab-timeline .mark,.lab-timeline .offered{stroke:#a3b0bd}
.lab-timeline .abort{stroke:#e6ebf0}
.lab-timeline .pill{fill:#a3b0bd}
.lab-timeline .pill-text{fill:#151b22}
.lab-timeline .system{stroke:#5fb0ff}
.lab-timeline .control{stroke:#ff9d4d}
.lab-timeline .system-area{fill:#5fb0ff}
.lab-timeline .control-area{fill:#ff9d4d}
.lab-timeline .warmup,.lab-timeline .baseline{fill:#a3b0bd}
.lab-timeline .fault{fill:#ff6f9f;fill-opacity:.15}
.lab-timeline .recovery{fill:#4db6ac;fill-opacity:.15}
.lab-timeline .bar{fill-opacity:.75}
.lab-timeline .verdict-met{fill:#4fd1a5}
.lab-timeline .verdict-deviated,.lab-timeline .verdict-error{fill:#ff8a80}
.lab-timeline .verdict-aborted{fill:#e0a3dd}
.lab-timeline .verdict-inconclusive{fill:#e8c860}
}
`

// A drawing is a picture that grows downwards.
type drawing struct {
	bytes.Buffer
	r     Report
	arms  []namedArm
	marks []markRow
	spans []phaseSpan
	total time.Duration // of the timeline
	per   int           // seconds to a point
	y     float64       // the base line of what was written last, or the end of the last plot
}

// A phaseSpan is when a phase of the run with the first seed was.
type phaseSpan struct {
	phase      Phase
	from, till time.Duration
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// measure finds out how long the timeline is, and where the phases are in it. The end of
// the fault is when it was disarmed: an abort comes before the plan's end.
func (d *drawing) measure() {
	longest := 0
	for _, a := range d.arms {
		longest = max(longest, len(a.Seconds))
	}
	d.total = time.Duration(longest) * time.Second
	d.per = (longest + svgPoints - 1) / svgPoints
	p := d.r.Plan
	begin := p.Warmup + p.Baseline
	end := begin + p.Fault
	for _, m := range d.r.System.Marks {
		if m.What == "disarm" && m.At > begin {
			end = min(end, m.At)
		}
	}
	for _, s := range []phaseSpan{{PhaseWarmup, 0, p.Warmup}, {PhaseBaseline, p.Warmup, begin}, {PhaseFault, begin, end}, {PhaseRecovery, end, end + p.Recovery}} {
		if s.till = min(s.till, d.total); s.from < s.till {
			d.spans = append(d.spans, s)
		}
	}
}

// x returns where in the plots a moment is.
func (d *drawing) x(at time.Duration) float64 {
	return svgLeft + (svgRight-svgLeft)*float64(min(max(at, 0), d.total))/float64(d.total)
}

func (d *drawing) text(x, y float64, class, s string) { d.anchored(x, y, class, "start", s) }

func (d *drawing) anchored(x, y float64, class, anchor, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escaped(s))
}

// textWide returns how wide a text is at most, in letters that are so high.
func textWide(s string, height float64) float64 { return float64(cells(s)) * height * svgLetter }

// letters returns how many letters that are so high surely find room.
func letters(wide, height float64) int { return int(wide / (height * svgLetter)) }

// title writes the experiment's name, its verdict and its hypothesis.
func (d *drawing) title() {
	verdict := d.r.Verdict.sign() + " " + strings.ToUpper(clip(d.r.verdict(), 20))
	d.text(svgMargin, d.y, "name", clip(d.r.name(), letters(svgWidth-3*svgMargin-textWide(verdict, 22), 20)))
	class := "name"
	switch d.r.Verdict {
	case Met, Deviated, Aborted, Inconclusive, Error:
		class += " verdict-" + string(d.r.Verdict)
	}
	d.anchored(svgWidth-svgMargin, d.y, class, "end", verdict)
	d.y += 6
	room := letters(svgWidth-2*svgMargin, 13)
	lines := wrap(plain(d.r.Hypothesis), room)
	for i, line := range lines {
		d.y += 17
		if i == 1 && len(lines) > 2 {
			d.text(svgMargin, d.y, "what", clip(line+" …", room))
			break
		}
		d.text(svgMargin, d.y, "what", line)
	}
}

// legend tells the lines of the two apart.
func (d *drawing) legend() {
	d.y += 30
	x := svgLeft
	for _, a := range d.arms {
		fmt.Fprintf(d, `<path class="line %s" d="M%.1f,%.1fh26"/>`+"\n", a.name, x, d.y-4)
		d.text(x+34, d.y, "", a.name)
		x += 34 + textWide(a.name, 12) + 28
	}
	d.anchored(svgRight, d.y, "soft", "end", d.legendOfRun())
}

// legendOfRun says of which run the timeline is.
func (d *drawing) legendOfRun() string {
	switch n := len(d.r.Seeds); {
	case n == 0:
		return ""
	case n == 1:
		return fmt.Sprintf("seed %d", d.r.Seeds[0])
	default:
		return fmt.Sprintf("seed %d, the first of %d runs", d.r.Seeds[0], n)
	}
}
