package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// A recording is what scrapes have got: of each series, by its name and labels, a value for each
// scrape, as promtool writes them.
type recording struct {
	every  time.Duration
	series map[string][]string
}

const (
	missing = "_"     // there was no such series yet, or not any more
	stale   = "stale" // the series is gone since the last scrape
)

// scrape gathers the registry every so often for so long, the beginning included.
func (w *world) scrape(every, long time.Duration) recording {
	r := recording{every: every, series: map[string][]string{}}
	n := 0
	for end := time.Now().Add(long); ; n++ {
		families, err := w.registry.Gather()
		require.NoError(w.t, err)
		now := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				flatten(f.GetName(), m, now)
			}
		}
		r.add(n, now)
		if !time.Now().Before(end) {
			return r
		}
		time.Sleep(every)
	}
}

// add adds the n-th scrape.
func (r recording) add(n int, now map[string]float64) {
	for name := range now {
		if r.series[name] == nil {
			r.series[name] = slices.Repeat([]string{missing}, n)
		}
	}
	for name, values := range r.series {
		v, ok := now[name]
		switch {
		case ok:
			values = append(values, strconv.FormatFloat(v, 'g', -1, 64))
		case values[n-1] == stale || values[n-1] == missing:
			values = append(values, missing)
		default:
			values = append(values, stale)
		}
		r.series[name] = values
	}
}

// flatten puts what is exported of a metric into to, as the text format has it.
func flatten(name string, m *dto.Metric, to map[string]float64) {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	switch {
	case m.GetCounter() != nil:
		to[series(name, labels)] = m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		to[series(name, labels)] = m.GetGauge().GetValue()
	case m.GetHistogram() != nil:
		h := m.GetHistogram()
		to[series(name+"_count", labels)] = float64(h.GetSampleCount())
		to[series(name+"_sum", labels)] = h.GetSampleSum()
		for _, b := range h.GetBucket() {
			labels["le"] = strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)
			to[series(name+"_bucket", labels)] = float64(b.GetCumulativeCount())
		}
		labels["le"] = "+Inf"
		to[series(name+"_bucket", labels)] = float64(h.GetSampleCount())
	}
}

// series writes the name of a series.
func series(name string, labels map[string]string) string {
	var pairs []string
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l, labels[l]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// nameOf returns the name in what series has written.
func nameOf(series string) string { return series[:strings.IndexByte(series, '{')] }

// with returns the series of a name.
func (r recording) with(name string) (all []string) {
	for s := range r.series {
		if nameOf(s) == name {
			all = append(all, s)
		}
	}
	return all
}
