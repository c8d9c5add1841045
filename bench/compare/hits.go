package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/steady-go/steady/bench/hits"
)

// hitRatios are those of each library on each trace, in the order of both.
type hitRatios [][]float64

func measureHits() hitRatios {
	var all hitRatios
	for _, t := range hits.Traces {
		fmt.Fprintf(os.Stderr, "hit ratios on %s\n", t.Name)
		var row []float64
		for _, l := range hits.Libraries {
			row = append(row, l.Ratio(t))
		}
		all = append(all, row)
	}
	return all
}

// maxBehind is by how much the hit ratio of this library may be below otter's.
const maxBehind = 0.02

// behind is by how much it is on a trace.
func (h hitRatios) behind(trace int) float64 {
	of := func(name string) float64 {
		return h[trace][slices.IndexFunc(hits.Libraries, func(l hits.Library) bool { return l.Name == name })]
	}
	return of("otter") - of("steady")
}

func (h hitRatios) ok() bool {
	for trace := range h {
		if h.behind(trace) > maxBehind {
			return false
		}
	}
	return true
}

func (h hitRatios) render(w io.Writer) {
	fmt.Fprintf(w, "## Hit ratios of caches\n\nIn percent of the requests, with room for a twentieth of the keys. This library is to be at most %s points behind otter.\n\n| trace |", figure(100*maxBehind))
	for _, l := range hits.Libraries {
		fmt.Fprintf(w, " %s |", l.Name)
	}
	fmt.Fprintf(w, " |\n|---|%s---|\n", strings.Repeat("---|", len(hits.Libraries)))
	for n, t := range hits.Traces {
		fmt.Fprintf(w, "| %s: %s |", t.Name, t.About)
		for _, ratio := range h[n] {
			fmt.Fprintf(w, " %.1f |", 100*ratio)
		}
		fmt.Fprintf(w, " %s |\n", verdict(h.behind(n) <= maxBehind))
	}
	fmt.Fprintln(w)
	for _, l := range hits.Libraries {
		fmt.Fprintf(w, "- %s: %s\n", l.Name, l.Policy)
	}
	fmt.Fprintln(w)
}
