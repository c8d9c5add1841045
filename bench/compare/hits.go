package main

import (
	"fmt"
	"io"
	"os"
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

func (h hitRatios) render(w io.Writer) {
	fmt.Fprintf(w, "## Hit ratios of caches\n\nIn percent of the requests, with room for a twentieth of the keys. This library has no cache yet.\n\n| trace |")
	for _, l := range hits.Libraries {
		fmt.Fprintf(w, " %s |", l.Name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(hits.Libraries)))
	for n, t := range hits.Traces {
		fmt.Fprintf(w, "| %s: %s |", t.Name, t.About)
		for _, ratio := range h[n] {
			fmt.Fprintf(w, " %.1f |", 100*ratio)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for _, l := range hits.Libraries {
		fmt.Fprintf(w, "- %s: %s\n", l.Name, l.Policy)
	}
	fmt.Fprintln(w)
}
