package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/bench/speed"
)

// A report is all that was found.
type report struct {
	Passes  int
	Each    time.Duration
	Times   times
	Sizes   []size
	Hits    hitRatios
	Memory  memoryTable
	Modules []string // with their versions
	Machine []string
	Traps   string // Markdown
}

// ok reports whether all claims hold.
func (r report) ok() bool {
	for _, c := range claims {
		if !r.Times.find(c).ok() {
			return false
		}
	}
	return r.Hits.ok() && r.Memory.ok()
}

func (r report) render() []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, "# Results\n\nWritten by `make compare`; nothing in here is typed by hand.\n"+
		"Ratios are this library's time divided by the other's: below 1 this library is faster.\n\n")
	r.slower(&w)
	r.claims(&w)
	fmt.Fprintf(&w, "## Correctness\n\n<!-- traps: begin -->\n%s<!-- traps: end -->\n\n", r.Traps)
	r.overview(&w)
	r.sizes(&w)
	r.Hits.render(&w)
	r.Memory.render(&w)
	r.details(&w)
	r.conditions(&w)
	return w.Bytes()
}

// A loss is a rival that is faster than this library in a case, in at least one
// setting.
type loss struct {
	c   speed.Case
	v   speed.Variant
	bad []string // the settings, with their ratios
}

// losses returns where this library is slower: first than rivals that offer the
// same thing, then than others.
func (r report) losses() (same, less []loss) {
	for _, c := range speed.Cases() {
		for _, v := range c.Variants {
			if v.Floor || v.Lib == speed.Steady {
				continue
			}
			l := loss{c: c, v: v}
			for _, s := range settings {
				ratios := r.Times.relation(c.Name, v.Lib, s, quotient)
				if len(ratios) == 0 || measure.Median(ratios) <= 1 {
					continue
				}
				slower := 0
				for _, ratio := range ratios {
					if ratio > 1 {
						slower++
					}
				}
				l.bad = append(l.bad, fmt.Sprintf("**%s** %s (%s to %s, in %d of %d passes)", figure(measure.Median(ratios)), s,
					figure(slices.Min(ratios)), figure(slices.Max(ratios)), slower, len(ratios)))
			}
			switch {
			case l.bad == nil:
			case v.Lacks == "":
				same = append(same, l)
			default:
				less = append(less, l)
			}
		}
	}
	return same, less
}

func (r report) slower(w *bytes.Buffer) {
	same, less := r.losses()
	fmt.Fprintf(w, "## Where this library is slower\n\nThan a rival that offers the same thing: %s.\n\n", count(len(same)))
	if len(same) > 0 {
		fmt.Fprintf(w, "| case | rival | ratio | what this library does there |\n|---|---|---|---|\n")
		for _, l := range same {
			fmt.Fprintf(w, "| %s: %s | %s | %s | %s |\n", l.c.Name, l.c.About, l.v.Lib, strings.Join(l.bad, "; "), l.c.Reason)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Than one that offers less: %s.\n\n", count(len(less)))
	if len(less) > 0 {
		fmt.Fprintf(w, "| case | rival | ratio | what the rival lacks |\n|---|---|---|---|\n")
		for _, l := range less {
			fmt.Fprintf(w, "| %s: %s | %s | %s | %s |\n", l.c.Name, l.c.About, l.v.Lib, strings.Join(l.bad, "; "), l.v.Lacks)
		}
		fmt.Fprintln(w)
	}
}

func count(n int) string {
	switch n {
	case 0:
		return "nowhere"
	case 1:
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

func (r report) claims(w *bytes.Buffer) {
	fmt.Fprintf(w, "## Claims\n\nOn one core, one caller, but where it says two cores; medians over the passes. "+
		"The floor is what such a policy is made of at the least; alone, it is as many times what is compared to.\n\n"+
		"| claim | compared to | at most | measured | lowest to highest | the floor alone | |\n|---|---|---|---|---|---|---|\n")
	for _, c := range claims {
		fmt.Fprintln(w, r.Times.find(c))
	}
	same, _ := r.losses()
	fmt.Fprintf(w, "\nElsewhere no policy is to be slower than a rival that offers the same thing. Slower: %s; see above.\n\n", count(len(same)))
}

// best returns the fastest rival in a case that offers the same thing, if there is
// one that is run in the setting.
func (r report) best(c speed.Case, s setting) (lib string, ok bool) {
	fastest := math.Inf(1)
	for _, v := range c.Variants {
		b := bench{c.Name, v.Lib, s}
		if v.Floor || v.Lacks != "" || v.Lib == speed.Steady || len(r.Times[b]) == 0 {
			continue
		}
		if ns := r.Times.ns(b); ns < fastest {
			fastest, lib, ok = ns, v.Lib, true
		}
	}
	return lib, ok
}

func (r report) overview(w *bytes.Buffer) {
	fmt.Fprintf(w, "## This library to the best rival and to the floor\n\n"+
		"The best rival is the fastest that offers the same thing.\n\n| case | ns | allocs | to the floor |")
	for _, s := range settings {
		fmt.Fprintf(w, " to the best, %s |", s)
	}
	fmt.Fprintf(w, "\n|---|---|---|---|%s\n", strings.Repeat("---|", len(settings)))
	for _, c := range speed.Cases() {
		s := first(c)
		own := bench{c.Name, speed.Steady, s}
		fmt.Fprintf(w, "| %s | %s | %s | %s %s |", c.Name, figure(r.Times.ns(own)), figure(r.Times.allocs(own)),
			figure(measure.Median(r.Times.relation(c.Name, c.Floor, s, quotient))), c.Floor)
		for _, s := range settings {
			lib, ok := r.best(c, s)
			if !ok {
				fmt.Fprint(w, " |")
				continue
			}
			fmt.Fprintf(w, " %s %s |", figure(measure.Median(r.Times.relation(c.Name, lib, s, quotient))), lib)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// first is the simplest setting in which a case is run.
func first(c speed.Case) setting {
	if c.Runs == speed.ParallelOnly {
		return setting{"parallel", 1}
	}
	return setting{"serial", 1}
}

func (r report) details(w *bytes.Buffer) {
	fmt.Fprintf(w, "## All measurements\n\nMedians; in parentheses, the ratio of this library to it.\n\n")
	for _, c := range append(speed.Cases(), speed.Floors()) {
		s := first(c)
		fmt.Fprintf(w, "### %s\n\nWhat happens: %s", c.Name, c.About)
		if c.Caller != speed.Background {
			fmt.Fprintf(w, "; the caller's context %s", c.Caller)
		}
		fmt.Fprintf(w, ".\n\n| library | allocs | B |")
		for _, s := range settings {
			fmt.Fprintf(w, " ns, %s |", s)
		}
		fmt.Fprintf(w, " lacks |\n|---|---|---|%s---|\n", strings.Repeat("---|", len(settings)))
		for _, v := range c.Variants {
			b := bench{c.Name, v.Lib, s}
			fmt.Fprintf(w, "| %s | %s | %s |", v.Lib, figure(r.Times.allocs(b)), figure(r.Times.bytes(b)))
			for _, s := range settings {
				fmt.Fprint(w, strings.TrimRight(" "+r.cell(c.Name, v.Lib, s), " ")+" |")
			}
			fmt.Fprintln(w, strings.TrimRight(" "+v.Lacks, " ")+" |")
		}
		fmt.Fprintln(w)
	}
}

// cell is the time of a library and the ratio of this library to it.
func (r report) cell(name, lib string, s setting) string {
	b := bench{name, lib, s}
	if len(r.Times[b]) == 0 {
		return ""
	}
	ratios := r.Times.relation(name, lib, s, quotient)
	if lib == speed.Steady || len(ratios) == 0 {
		return figure(r.Times.ns(b))
	}
	return fmt.Sprintf("%s (%s)", figure(r.Times.ns(b)), figure(measure.Median(ratios)))
}

func (r report) sizes(w *bytes.Buffer) {
	fmt.Fprintf(w, "## Size\n\nWhat a small use of each adds to hello world, stripped; to its module graph (`go list -m all`); and how many\n"+
		"modules end up in the binary.\n\n| program | kB | modules in the graph | modules in the binary |\n|---|---|---|---|\n")
	for _, s := range r.Sizes {
		fmt.Fprintf(w, "| %s | %.0f | %d | %d |\n", s.Program, float64(s.Bytes)/1000, s.Graph, s.Linked)
	}
	fmt.Fprintln(w)
}

func (r report) conditions(w *bytes.Buffer) {
	fmt.Fprintf(w, "## How it was measured\n\n"+
		"%d passes. In each, every benchmark ran once for %v, in a process of its own, one library after the other within a\n"+
		"case; each pass began with another library. A ratio is the median of the ratios of the passes, a time that of the times.\n"+
		"Every library makes the same call, through a variable, on a context that it is given. Configurations are equivalent\n"+
		"and built once: see bench/speed.\n\n", r.Passes, r.Each)
	for _, m := range r.Machine {
		fmt.Fprintf(w, "- %s\n", m)
	}
	fmt.Fprintf(w, "\n### Noise\n\nThe floor, before and after each pass: how far its measurements lie apart, as quotients to their median.\n\n"+
		"| floor | setting | median ns | lowest | tenth from below | tenth from above | highest |\n|---|---|---|---|---|---|---|\n")
	for _, v := range speed.Floors().Variants {
		for _, s := range settings {
			ns := r.Times.each(bench{"Floor", v.Lib, s}, func(s sample) float64 { return s.ns })
			if len(ns) == 0 {
				continue
			}
			slices.Sort(ns)
			m, tenth := measure.Median(ns), len(ns)/10
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", v.Lib, s, figure(m), figure(ns[0]/m),
				figure(ns[tenth]/m), figure(ns[len(ns)-1-tenth]/m), figure(ns[len(ns)-1]/m))
		}
	}
	fmt.Fprintf(w, "\n### Versions\n\n")
	for _, m := range r.Modules {
		fmt.Fprintf(w, "- %s\n", m)
	}
}

// figure writes a number with as many digits as it is worth.
func figure(f float64) string {
	switch a := math.Abs(f); {
	case a == math.Trunc(a) && a < 1000:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a < 0.1:
		return strconv.FormatFloat(f, 'f', 3, 64)
	case a < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case a < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}
