package main

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/internal/parade"
	"github.com/steady-go/steady/steadyotel"
)

// exported returns the name that a metric has in Prometheus.
func exported(m steadyotel.Metric) string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "1":
		name += "_ratio"
	}
	if m.Instrument == steadyotel.Counter {
		name += "_total"
	}
	return name
}

var kinds = map[steadyotel.Instrument]string{
	steadyotel.Histogram: "histogram", steadyotel.Counter: "counter", steadyotel.UpDownCounter: "gauge", steadyotel.Gauge: "gauge",
}

func TestARealPrometheusSeesEachMetricAsItIsDocumented(t *testing.T) {
	w, err := newWatch("127.0.0.1:0", false)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.close()) }()
	s := startPrometheus(t, w.url, nil)
	defer runtime.KeepAlive(parade.All(t, w.hook))

	documented := map[string]bool{}
	for _, m := range steadyotel.Metrics() {
		if m.Reserved {
			continue
		}
		name, series := exported(m), exported(m)
		documented[name] = true
		if m.Instrument == steadyotel.Histogram {
			series += "_count"
		}
		var labels []map[string]string
		attributes := map[string]bool{}
		eventually(t, name, func() bool {
			s.ask(t, "series", url.Values{"match[]": {series}}, &labels)
			for _, set := range labels {
				for label := range set {
					attributes[label] = true
				}
			}
			return !slices.ContainsFunc(m.Attributes, func(a string) bool { return !attributes[strings.ReplaceAll(a, ".", "_")] })
		})
		for label := range attributes {
			own := slices.ContainsFunc(m.Attributes, func(a string) bool { return strings.ReplaceAll(a, ".", "_") == label })
			foreign := slices.Contains([]string{"__name__", "instance", "job"}, label) || strings.HasPrefix(label, "otel_scope_")
			require.True(t, own || foreign, "%s has the attribute %s, which is not documented", name, label)
		}
		metadata := map[string][]struct{ Type, Help string }{}
		s.ask(t, "metadata", url.Values{"metric": {name}}, &metadata)
		require.Len(t, metadata[name], 1, name)
		require.Equal(t, kinds[m.Instrument], metadata[name][0].Type, name)
		require.Equal(t, m.Description, metadata[name][0].Help, name)
	}
	metadata := map[string]any{}
	s.ask(t, "metadata", nil, &metadata)
	for name := range metadata {
		require.True(t, documented[name] || name == "target_info", "%s is not documented", name)
	}
}

// faster returns rules with all their durations a so-manieth of what they are, so that an hour
// goes by in the seconds that a run has.
func faster(t *testing.T, rules []byte, times int64) []byte {
	t.Helper()
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	duration := regexp.MustCompile(`(\[|for: ?)(\d+)([smhd])\b`)
	require.Regexp(t, duration, string(rules))
	return duration.ReplaceAllFunc(rules, func(found []byte) []byte {
		m := duration.FindSubmatch(found)
		n, err := strconv.ParseInt(string(m[2]), 10, 64)
		require.NoError(t, err)
		d := time.Duration(n) * units[string(m[3])] / time.Duration(times)
		return fmt.Appendf(nil, "%s%dms", m[1], max(d.Milliseconds(), 1))
	})
}

// The shipped rules, 240 times faster, on the run of the example itself: nodes fail three times,
// and the client without this library burns its error budget just then. The guarded one never
// does, although it has breakers that open.
func TestAlertsFireWhileNodesFailAndOnlyThen(t *testing.T) {
	if race {
		t.Skip("it is run without the race detector too, by make test")
	}
	rules, err := os.ReadFile("../../deploy/prometheus/steady.rules.yml")
	require.NoError(t, err)
	run := start(t, "-rate", "100")
	s := startPrometheus(t, run.url, faster(t, rules, 240))
	first := regexp.MustCompile(`(?m)^ +1 s `)
	var began time.Time
	runs := 0 // two if the machine could not keep the schedule of the first
	for end := time.Now().Add(3 * time.Minute); !strings.Contains(run.stdout.String(), "Still to be seen"); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "the run does not end:\n%s", &run.stdout)
		if n := len(first.FindAllString(run.stderr.String(), -1)); n > runs {
			runs, began = n, time.Now().Add(-time.Second)
		}
	}
	require.NotZero(t, runs, "%s", &run.stdout)
	time.Sleep(3 * time.Second) // for Prometheus to see what is after the run
	ended := time.Now()

	const page = "SteadyOperationBurnsBudgetFast"
	firing := s.over(t, `ALERTS{alertstate="firing"}`, began, ended)
	fired := map[string]bool{} // "alert of whom"
	inStage := map[string]map[string]bool{}
	for _, l := range firing {
		of := l.Metric["alertname"] + " of " + l.Metric["steady_name"]
		fired[of] = true
		inStage[of] = map[string]bool{}
		for _, v := range l.Values {
			when := at(v).Sub(began)
			st := stages[stageOf(when)]
			if when < time.Duration(st.from*float64(time.Second))+lingers && st.fault == none {
				continue // what the rate still looks back at
			}
			inStage[of][st.name] = true
		}
		t.Logf("%s fired in %v", of, inStage[of])
	}
	require.Equal(t, map[string]bool{"refused": true, "hanging": true, "slow 500s": true}, inStage[page+" of bare"],
		"in each failing stage, and %v after it no more", lingers)
	for of := range fired {
		require.NotContains(t, of, "of guarded", "the guarded client keeps its objective")
		if runs == 1 || of == page+" of bare" { // the other alerts remember an earlier run
			require.NotContains(t, inStage[of], "steady", "%s before anything failed", of)
		}
	}
}

// lingers is how long after a fault its alert may still fire: the shortest window of the rule, and the
// steps of scraping and evaluating.
const lingers = 2500 * time.Millisecond

func stageOf(t time.Duration) int {
	c := config{duration: sum * time.Second}
	return c.stageAt(t)
}
