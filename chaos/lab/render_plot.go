package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// svgPoints is how many points a line has at most: one for two of the picture's dots.
const svgPoints = 450

// A tick is a value with a name at a scale, which goes from 0, at the bottom, to 1.
type tick struct {
	at   float64
	text string
}

// A plot is one of the pictures above each other.
type plot struct {
	d           *drawing
	top, height float64
}

// y returns where a value of the scale is. The ends are a little inside, so that lines
// are seen there.
func (p plot) y(at float64) float64 {
	const inside = 4
	return p.top + inside + (1-min(max(at, 0), 1))*(p.height-2*inside)
}

// plot begins a plot: its title, the phases, the marks and the scale.
func (d *drawing) plot(title string, height float64, ticks []tick) plot {
	d.y += 24
	d.text(svgLeft, d.y, "head", title)
	p := plot{d, d.y + 8, height}
	for _, s := range d.spans {
		fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", s.phase, d.x(s.from), p.top, d.x(s.till)-d.x(s.from), height)
	}
	for _, t := range ticks {
		fmt.Fprintf(d, `<path class="grid" d="M%.1f,%.1fH%.1f"/>`+"\n", svgLeft, p.y(t.at), svgRight)
		d.anchored(svgLeft-8, p.y(t.at)+4, "tick", "end", t.text)
	}
	for _, m := range d.marks {
		class := "mark"
		if m.What == "abort" {
			class = "mark abort"
		}
		for _, at := range m.At {
			fmt.Fprintf(d, `<path class="%s" d="M%.1f,%.1fv%.1f"/>`+"\n", class, d.x(at), p.top, height)
		}
	}
	d.y = p.top + height
	return p
}

// A point is what a line shows of a second, or of several in a row.
type point struct {
	from, till time.Duration
	seconds    []Second
}

func (d *drawing) points(seconds []Second) []point {
	var points []point
	for i := 0; i < len(seconds); i += d.per {
		end := min(i+d.per, len(seconds))
		points = append(points, point{time.Duration(i) * time.Second, time.Duration(end) * time.Second, seconds[i:end]})
	}
	return points
}

// worst returns the least of what f finds in each second in which it finds something.
func (p point) worst(f func(Second) (float64, bool)) (v float64, ok bool) {
	v = math.Inf(1)
	for _, s := range p.seconds {
		if w, found := f(s); found {
			v, ok = min(v, w), true
		}
	}
	return v, ok
}

// mean returns the mean of what f counts in each second.
func (p point) mean(f func(Second) int) float64 {
	sum := 0
	for _, s := range p.seconds {
		sum += f(s)
	}
	return float64(sum) / float64(len(p.seconds))
}

// line draws a line through what f finds at each point, on the scale of p. It is broken
// where f finds nothing.
func (p plot) line(class string, seconds []Second, f func(point) (float64, bool)) {
	var b strings.Builder
	drawn := false
	for _, pt := range p.d.points(seconds) {
		at, ok := f(pt)
		if !ok {
			drawn = false
			continue
		}
		x, y := p.d.x((pt.from+pt.till)/2), p.y(at)
		if drawn {
			fmt.Fprintf(&b, "L%.1f,%.1f", x, y)
		} else {
			fmt.Fprintf(&b, "M%.1f,%.1fh.1", x, y) // a point that is alone is seen too
		}
		drawn = true
	}
	if b.Len() > 0 {
		fmt.Fprintf(p.d, `<path class="line %s" d="%s"/>`+"\n", class, b.String())
	}
}

// area fills what is below f in steps. Nothing is drawn where f is 0.
func (p plot) area(class string, seconds []Second, f func(point) float64) {
	var b strings.Builder
	base := p.y(0)
	for _, pt := range p.d.points(seconds) {
		if at := f(pt); at > 0 {
			fmt.Fprintf(&b, "M%.1f,%.1fV%.1fH%.1fV%.1fz", p.d.x(pt.from), base, p.y(at), p.d.x(pt.till), base)
		}
	}
	if b.Len() > 0 {
		fmt.Fprintf(p.d, `<path class="%s-area" d="%s"/>`+"\n", class, b.String())
	}
}

// backwards calls f with the arms, the system last, whose line is above the others.
func (d *drawing) backwards(f func(namedArm)) {
	for i := range d.arms {
		f(d.arms[len(d.arms)-1-i])
	}
}

// each says what a point of a line is.
func (d *drawing) each(of string) string {
	if d.per == 1 {
		return "each second"
	}
	return fmt.Sprintf("%s of every %d seconds", of, d.per)
}

// availability draws the share of the requests due in each second that were answered.
func (d *drawing) availability() {
	share := func(s Second) (float64, bool) { return float64(s.OK) / float64(s.Offered), s.Offered > 0 }
	least := 1.0
	for _, a := range d.arms {
		for _, pt := range d.points(a.Seconds) {
			if v, ok := pt.worst(share); ok {
				least = min(least, v)
			}
		}
	}
	low, step := 0.0, 25.0
	for _, scale := range [][2]float64{{50, 10}, {70, 10}, {80, 5}, {90, 2}, {95, 1}, {98, .5}} {
		if 100*least > scale[0] {
			low, step = scale[0], scale[1]
		}
	}
	var ticks []tick
	for v := low; v <= 100; v += step {
		ticks = append(ticks, tick{(v - low) / (100 - low), strconv.FormatFloat(v, 'f', -1, 64) + " %"})
	}
	p := d.plot("availability, "+d.each("the worst second"), 150, ticks)
	d.backwards(func(a namedArm) {
		p.line(a.name, a.Seconds, func(pt point) (float64, bool) {
			v, ok := pt.worst(share)
			return (100*v - low) / (100 - low), ok
		})
	})
}

// latency draws p99 on a logarithmic scale.
func (d *drawing) latency() {
	slowness := func(s Second) (float64, bool) { return -float64(s.P99), s.OK > 0 && s.P99 > 0 }
	least, most := math.Inf(1), 0.0
	for _, a := range d.arms {
		for _, pt := range d.points(a.Seconds) {
			if v, ok := pt.worst(slowness); ok {
				least, most = min(least, -v), max(most, -v)
			}
		}
	}
	if most == 0 {
		least, most = float64(time.Millisecond), float64(time.Second)
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	high = max(high, low+1)
	factors := []float64{1}
	if high-low <= 2 {
		factors = []float64{1, 2, 5}
	}
	var ticks []tick
	for e := low; e <= high; e += math.Ceil((high - low) / 6) {
		for _, f := range factors {
			if v := f * math.Pow(10, e); e < high || f == 1 {
				ticks = append(ticks, tick{(math.Log10(v) - low) / (high - low), spanText(time.Duration(math.Round(v)))})
			}
		}
	}
	p := d.plot("p99 of the latency, "+d.each("the slowest second")+", logarithmic", 130, ticks)
	d.backwards(func(a namedArm) {
		p.line(a.name, a.Seconds, func(pt point) (float64, bool) {
			v, ok := pt.worst(slowness)
			return (math.Log10(-v) - low) / (high - low), ok
		})
	})
}

// attempts draws what was due, the attempts at that, and the injections.
func (d *drawing) attempts() {
	count := func(f func(Second) int) func(point) float64 {
		return func(pt point) float64 { return pt.mean(f) }
	}
	attempts := count(func(s Second) int { return s.Attempts })
	injected := count(func(s Second) int { return s.Injected })
	offered := count(func(s Second) int { return s.Offered })
	most := 1.0
	for _, a := range d.arms {
		for _, pt := range d.points(a.Seconds) {
			most = max(most, attempts(pt), injected(pt), offered(pt))
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/2.5)))
	for _, times := range []float64{5, 2} {
		if most/step > 5 && most/(step*times) >= 2 {
			step *= times
			break
		}
	}
	step = max(step, 1)
	high := math.Ceil(most/step) * step
	var ticks []tick
	for v := 0.0; v <= high; v += step {
		ticks = append(ticks, tick{v / high, thousands(int(v))})
	}
	p := d.plot("attempts (line), injected faults (filled) and requests due (dotted), "+d.each("the mean"), 110, ticks)
	d.backwards(func(a namedArm) {
		p.area(a.name, a.Seconds, func(pt point) float64 { return injected(pt) / high })
	})
	onScale := func(f func(point) float64) func(point) (float64, bool) {
		return func(pt point) (float64, bool) { return f(pt) / high, true }
	}
	p.line("offered", d.r.System.Seconds, onScale(offered))
	d.backwards(func(a namedArm) { p.line(a.name, a.Seconds, onScale(attempts)) })
}
