package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/steady-go/steady/cache"
)

// The columns in which answers are counted, by where they came from.
var columns = []cache.Source{cache.Fresh, cache.Loaded, cache.Stale, cache.StaleOnError, cache.None}

// String returns the table of all stages: each with the cache, and below that without.
func (s *score) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\t\tcallers\tin time\tfresh\tloaded\tstale\ton error\tfailed\tp50\tp99\toldest\tcalls\t")
	row := func(name string, in func(stage) bool) {
		for i, client := range clientNames {
			c := s.sum(i, in)
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t", name, client, c.ended, percent(c.ok(), c.ended))
			for _, source := range columns {
				fmt.Fprintf(t, "%d\t", c.sources[source])
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t\n", short(quantile(c.took, 0.5)), short(quantile(c.took, 0.99)), short(c.oldest), c.calls)
			name = ""
		}
	}
	for _, one := range stages[firstSteady:] {
		row(one.name, only(one))
	}
	row("all faults", failing)
	_ = t.Flush() // a Builder takes everything
	return b.String()
}

// percent rounds down: 99.8996 % must not look like the 99.900 % that it missed.
func percent(ok, ended int) string {
	if ended == 0 {
		return "-"
	}
	thousandths := ok * 100_000 / ended
	return fmt.Sprintf("%d.%03d %%", thousandths/1000, thousandths%1000)
}

// quantile returns the q-quantile by nearest rank, or 0 of nothing.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]
}

// short returns a time in a few digits.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
