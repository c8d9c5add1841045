package main

import (
	"fmt"
	"html"
	"io"
	"iter"
	"math"
	"os"
	"strings"
)

// The picture's measures, in pixels, and its colours, which people who see no
// difference between red and green can tell apart (Okabe and Ito, 2008).
const (
	width, height = 1000, 720
	left, right   = 62, 975 // of all plots

	colourBare    = "#d55e00"
	colourGuarded = "#0072b2"
)

// A plot is one of the parts of the picture, which share their x axis.
type plot struct {
	svg         *strings.Builder
	seconds     float64 // of the x axis
	top, bottom float64
	y           func(value float64) float64 // 0 at the bottom, 1 at the top
}

func (p plot) px(second float64) float64 { return left + second/p.seconds*(right-left) }

func (p plot) py(value float64) float64 {
	return p.bottom - min(1, max(0, p.y(value)))*(p.bottom-p.top)
}

// saveSVG draws the timeline into a file, and says so.
func (r *report) saveSVG(file string, out io.Writer) error {
	if file == "" {
		return nil
	}
	if err := os.WriteFile(file, []byte(r.svg()), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "The timeline is in %s.\n", file)
	return nil
}

// svg draws the timeline.
func (r *report) svg() string {
	b := new(strings.Builder)
	bare, guarded := r.Total[laneBare], r.Total[laneGuarded]
	verdict := fmt.Sprintf("Verdict: %s. In the failing phases together: guarded %s at %.3f attempts a request, bare %s.",
		r.Verdict, percent(guarded.Availability, 3), guarded.Attempts, percent(bare.Availability, 3))
	if r.Verdict == inconclusive {
		verdict = "Verdict: " + inconclusive + ", " + r.Reason + "."
	}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="12" fill="#222">`+"\n", width, height, width, height)
	fmt.Fprintf(b, "<title>%s</title>\n<desc>%s</desc>\n", html.EscapeString(r.Hypothesis), html.EscapeString(verdict))
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(b, left, 30, `font-size="17" font-weight="bold"`, "Hypothesis: "+r.Hypothesis)
	text(b, left, 53, `font-size="13"`, verdict)

	whole := plot{svg: b, seconds: r.Duration, top: 70, bottom: 640}
	for _, p := range r.Phases {
		whole.shade(p)
	}
	r.drawAvailability(plot{svg: b, seconds: r.Duration, top: 126, bottom: 306, y: func(v float64) float64 { return v }})
	// Logarithmic, so that 10 ms and 1 s can be told from their neighbours alike.
	r.drawLatency(plot{svg: b, seconds: r.Duration, top: 350, bottom: 510, y: func(v float64) float64 { return math.Log10(max(v, 1)) / math.Log10(4000) }})
	most := 1
	for _, s := range r.Breakers {
		most = max(most, s.Out)
	}
	r.drawBreakers(plot{svg: b, seconds: r.Duration, top: 554, bottom: 640, y: func(v float64) float64 { return v / float64(most+1) }}, most)

	for at := 0.0; at <= r.Duration; at += tickEvery(r.Duration) {
		x := whole.px(at)
		fmt.Fprintf(b, `<line x1="%.1f" y1="640" x2="%.1f" y2="645" stroke="#222"/>`+"\n", x, x)
		text(b, x, 660, `text-anchor="middle"`, fmt.Sprintf("%.4g", at))
	}
	text(b, (left+right)/2, 682, `text-anchor="middle"`, "seconds since the beginning")
	text(b, left, 706, `fill="#666"`, fmt.Sprintf("%d nodes for each client; seed %d; no request was started more than %.1f ms after it was due",
		r.Nodes, r.Seed, math.Ceil(r.MaxLag*10)/10))
	b.WriteString("</svg>\n")
	return b.String()
}

// tickEvery returns how many seconds lie between the ticks of an x axis of so many.
func tickEvery(seconds float64) float64 {
	for unit := 1.0; ; unit *= 10 {
		for _, n := range []float64{1, 2, 5} {
			if seconds/(n*unit) <= 10 {
				return n * unit
			}
		}
	}
}

// shade marks and names a phase.
func (p plot) shade(s span) {
	x, w := p.px(s.Start), p.px(s.End)-p.px(s.Start)
	colour := "#ffffff"
	if s.Failing {
		colour = "#f1eee6"
	}
	fmt.Fprintf(p.svg, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="#ddd"/>`+"\n", x, p.top, w, p.bottom-p.top, colour)
	style := `text-anchor="middle"`
	if s.Failing {
		style += ` font-weight="bold"`
	}
	text(p.svg, x+w/2, p.top+18, style, s.Name)
}

func (r *report) drawAvailability(p plot) {
	p.axis("Availability in each second", []float64{0, 0.25, 0.5, 0.75, 1}, func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) })
	r.drawLines(p, func(w row) float64 { return w.Availability })
}

func (r *report) drawLatency(p plot) {
	p.axis("p99 latency in each second, from when a request was due to its end, however that was (logarithmic)",
		[]float64{1, 10, 100, 1000}, func(v float64) string { return fmt.Sprintf("%.0f ms", v) })
	r.drawLines(p, func(w row) float64 { return w.P99 })
}

func (r *report) drawBreakers(p plot, most int) {
	ticks := []float64{0, float64(most)}
	if most <= 4 {
		for n := 1; n < most; n++ {
			ticks = append(ticks, float64(n))
		}
	}
	p.axis(fmt.Sprintf("Breakers of the guarded client, of %d, that are not closed; a dot: one of them begins to probe", r.Nodes),
		ticks, func(v float64) string { return fmt.Sprintf("%.0f", v) })
	path := fmt.Sprintf("M%.1f %.1f", p.px(0), p.py(0))
	for _, s := range r.Breakers {
		path += fmt.Sprintf("H%.1fV%.1f", p.px(min(s.At, p.seconds)), p.py(float64(s.Out)))
	}
	path += fmt.Sprintf("H%.1f", p.px(p.seconds))
	fmt.Fprintf(p.svg, `<path d="%sV%.1fZ" fill="%s" fill-opacity="0.15"/>`+"\n", path, p.py(0), colourGuarded)
	fmt.Fprintf(p.svg, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, colourGuarded)
	for _, at := range r.Probes {
		fmt.Fprintf(p.svg, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", p.px(min(at, p.seconds)), p.py(0)-6, colourGuarded)
	}
}

// axis draws the y axis of a plot, with a line across for each tick.
func (p plot) axis(caption string, ticks []float64, name func(float64) string) {
	text(p.svg, left+6, p.top-8, `fill="#444"`, caption)
	for _, v := range ticks {
		fmt.Fprintf(p.svg, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ccc"/>`+"\n", left, p.py(v), right, p.py(v))
		text(p.svg, left-7, p.py(v)+4, `text-anchor="end"`, name(v))
	}
}

// drawLines draws one value of both clients. Their names stand where the lines stay
// furthest apart.
func (r *report) drawLines(p plot, value func(row) float64) {
	var xs, bare, guarded []float64
	for _, s := range r.Timeline {
		if s.Bare.Requests > 0 && s.Guarded.Requests > 0 { // else the run ended before
			xs = append(xs, p.px(min(float64(s.At)+0.5, p.seconds)))
			bare = append(bare, p.py(value(s.Bare)))
			guarded = append(guarded, p.py(value(s.Guarded)))
		}
	}
	p.line(xs, bare, colourBare)
	p.line(xs, guarded, colourGuarded)
	at, apart := -1, -1.0
	for i := range xs {
		least := math.Inf(1)
		for j := range near(i, xs) {
			least = min(least, math.Abs(bare[j]-guarded[j]))
		}
		if least > apart {
			at, apart = i, least
		}
	}
	if apart < 20 { // no room between them: above the plot then
		text(p.svg, right, p.top-8, nameStyle("end", colourBare), "bare")
		text(p.svg, right-40, p.top-8, nameStyle("end", colourGuarded), "guarded")
	} else {
		p.name("bare", colourBare, at, xs, bare, bare[at] < guarded[at])
		p.name("guarded", colourGuarded, at, xs, guarded, guarded[at] <= bare[at])
	}
}

// near iterates over the points that the name of a line at point i is next to.
func near(i int, points []float64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for j := max(0, i-1); j < min(len(points), i+2) && yield(j); j++ {
		}
	}
}

func (p plot) line(xs, ys []float64, colour string) {
	fmt.Fprint(p.svg, `<polyline points="`)
	for i := range xs {
		fmt.Fprintf(p.svg, "%.1f,%.1f ", xs[i], ys[i])
	}
	fmt.Fprintf(p.svg, `" fill="none" stroke="%s" stroke-width="2.5" stroke-linejoin="round"/>`+"\n", colour)
}

// name writes the name of a line next to its point i, on the side away from the
// other line if there is room.
func (p plot) name(name, colour string, i int, xs, ys []float64, upper bool) {
	highest, lowest := ys[i], ys[i]
	for j := range near(i, ys) {
		highest, lowest = min(highest, ys[j]), max(lowest, ys[j])
	}
	y := lowest + 17
	if upper && highest-p.top > 16 || !upper && p.bottom-lowest < 20 {
		y = highest - 8
	}
	x := min(right-30, max(left+30, xs[i]))
	text(p.svg, x, y, nameStyle("middle", colour), name)
}

func nameStyle(anchor, colour string) string {
	return fmt.Sprintf(`text-anchor="%s" font-size="14" font-weight="bold" fill="%s"`, anchor, colour)
}

func text(b *strings.Builder, x, y float64, style, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, style, html.EscapeString(s))
}
