package deploy_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/steadyotel"
)

// exported returns the names of the series under which OpenTelemetry's exporter for Prometheus
// shows a metric.
func exported(m steadyotel.Metric) []string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "1":
		name += "_ratio"
	}
	switch m.Instrument {
	case steadyotel.Counter:
		return []string{name + "_total"}
	case steadyotel.Histogram:
		return []string{name + "_bucket", name + "_count", name + "_sum"}
	}
	return []string{name}
}

var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	word   = regexp.MustCompile(`\b(?:steady|ALERTS)[a-zA-Z0-9_:]*`)
	label  = regexp.MustCompile(`\{[^}]*\}|\b(?:by|on|without|ignoring|group_left|group_right) ?\([^)]*\)`)
)

// requireKnown fails if expr names a metric that is neither exported nor recorded by a rule, or a label that no
// metric has.
func requireKnown(t *testing.T, of, expr string) {
	t.Helper()
	metrics, labels := map[string]bool{"ALERTS": true, "steady:operation_objective:own": true}, map[string]bool{}
	for _, m := range steadyotel.Metrics() {
		if m.Reserved {
			continue
		}
		for _, s := range exported(m) {
			metrics[s] = true
		}
		for _, a := range m.Attributes {
			labels[strings.ReplaceAll(a, ".", "_")] = true
		}
	}
	for _, r := range rules(t) {
		metrics[r.Record] = true
	}
	expr = quoted.ReplaceAllString(expr, `""`)
	for _, l := range word.FindAllString(strings.Join(label.FindAllString(expr, -1), " "), -1) {
		require.True(t, labels[l], "%s: no metric has the label %s", of, l)
	}
	named := word.FindAllString(label.ReplaceAllString(expr, ""), -1)
	for _, m := range named {
		require.True(t, metrics[m], "%s: there is no metric %s", of, m)
	}
	require.NotEmpty(t, named, of)
}
