package steadyotel_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/steady-go/steady/internal/parade"
	"github.com/steady-go/steady/steadyotel"
)

var update = flag.Bool("update", false, "write testdata/metrics.golden anew")

// What dashboards and alerts of users name must not change by accident.
func TestNamesAreKept(t *testing.T) {
	var b strings.Builder
	for _, m := range steadyotel.Metrics() {
		kept := ""
		if m.Reserved {
			kept = " (reserved)"
		}
		fmt.Fprintf(&b, "%s %s %s %s%s\n\t%s\n", m.Name, m.Instrument, m.Unit, strings.Join(m.Attributes, ","), kept, m.Description)
	}
	const golden = "testdata/metrics.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "if it is meant: go test ./steadyotel -update, and change deploy/ and docs/metrics.md")
}

func TestEachMetricIsInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	for _, m := range steadyotel.Metrics() {
		row := fmt.Sprintf("| `%s` | %s | `%s` |", m.Name, m.Instrument, m.Unit)
		if m.Reserved {
			row = "| `" + m.Name + "` |"
		}
		require.Contains(t, string(doc), row)
		for _, a := range m.Attributes {
			require.Contains(t, string(doc), "`"+a+"`")
		}
	}
}

// Planted: metrics.go: any unit, instrument or attribute changed there but not where it is
// reported, or a metric that nothing reports → red.
func TestWhatIsReportedIsWhatIsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		policies := parade.All(t, h)
		synctest.Wait()
		reported := collect()
		runtime.KeepAlive(policies)
		names := map[string]bool{}
		for _, m := range steadyotel.Metrics() {
			if m.Reserved {
				require.NotContains(t, reported, m.Name)
				continue
			}
			names[m.Name] = true
			require.Contains(t, reported, m.Name)
			got := reported[m.Name]
			require.Equal(t, m.Unit, got.Unit, m.Name)
			require.Equal(t, m.Description, got.Description, m.Name)
			require.Equal(t, m.Instrument, instrument(got), m.Name)
			attributes := map[string]bool{}
			each(got, func(set attribute.Set, _ float64, _ uint64) {
				for _, kv := range set.ToSlice() {
					attributes[string(kv.Key)] = true
				}
			})
			require.ElementsMatch(t, m.Attributes, sorted(attributes), m.Name)
		}
		require.Equal(t, sorted(names), sorted(reported), "and nothing else is")
	})
}
