package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A dashboard is what of Grafana's JSON the tests look at.
type dashboard struct {
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
}

type variable struct {
	Name, Type, Definition string
	Datasource             source
}

type source struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		Datasource         source
		Expr, LegendFormat string
	}
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []any }
		}
	}
}

func theDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("grafana/steady.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// queries returns the expressions of the panels, as Grafana sends them, by where they stand.
func (d dashboard) queries() map[string]string {
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$name", ".*", "$operation", ".*")
	all := map[string]string{}
	for _, p := range d.Panels {
		for n, q := range p.Targets {
			all[fmt.Sprintf("panel %q, query %d", p.Title, n+1)] = filled.Replace(q.Expr)
		}
	}
	return all
}

var prometheusSource = source{"prometheus", "${datasource}"}

func TestThePanelsAreWhole(t *testing.T) {
	d := theDashboard(t)
	require.GreaterOrEqual(t, d.SchemaVersion, 39, "that of Grafana 11")
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "%s: its id is taken", p.Title)
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s stands there too", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.NotEmpty(t, p.Title)
		if p.Type == "row" {
			continue
		}
		require.Contains(t, []string{"timeseries", "stat", "state-timeline", "table"}, p.Type, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		require.Equal(t, prometheusSource, p.Datasource, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		require.NotEmpty(t, p.FieldConfig.Defaults.Thresholds.Steps, p.Title)
		for _, q := range p.Targets {
			require.Equal(t, prometheusSource, q.Datasource, p.Title)
			if p.Type != "table" {
				require.NotEmpty(t, q.LegendFormat, p.Title)
				require.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
			}
			requireLegend(t, p.Title, q.LegendFormat, q.Expr)
		}
	}
}

// requireLegend fails if a legend shows a label that the result does not have.
func requireLegend(t *testing.T, of, legend, expr string) {
	t.Helper()
	for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
		kept := strings.Contains(expr, "steady:") && (l[1] == "job" || l[1] == "steady_name")
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
			kept = kept || strings.Contains(", "+by[1]+",", ", "+l[1]+",")
		}
		require.True(t, kept, "%s: the result has no label %s", of, l[1])
	}
}

func TestTheVariablesAreThere(t *testing.T) {
	names := map[string]string{}
	for _, v := range theDashboard(t).Templating.List {
		names[v.Name] = v.Type
		if v.Type == "query" {
			require.Equal(t, prometheusSource, v.Datasource)
			inner := strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")")
			requireKnown(t, "variable "+v.Name, inner[:strings.LastIndex(inner, ",")])
		}
	}
	require.Equal(t, map[string]string{"datasource": "datasource", "job": "query", "operation": "query", "name": "query"}, names)
}

func TestTheDashboardNamesOnlyWhatIsThere(t *testing.T) {
	d := theDashboard(t)
	type recorded struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var all []recorded
	for where, expr := range d.queries() {
		requireKnown(t, where, expr)
		all = append(all, recorded{fmt.Sprint("panel:", len(all)), expr})
	}
	content, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": all}}})
	require.NoError(t, err)
	file := t.TempDir() + "/rules.yml"
	require.NoError(t, os.WriteFile(file, content, 0o600))
	out, err := promtool(t, "check", "rules", file)
	require.NoError(t, err, out)
}

// All that the scenarios let happen, at once: no panel stays empty.
//
// Planted: a panel that asks for the policy "bulkheads".
func TestEachPanelShowsSomething(t *testing.T) {
	t.Parallel()
	p := phases{before: 10 * time.Minute, failing: 10 * time.Minute, after: time.Minute} // for the abandoned calls to end
	r := live(t, turmoil, p, 15*time.Second)
	var expressions []expression
	for _, expr := range theDashboard(t).queries() {
		expressions = append(expressions, expression{Expr: fmt.Sprintf("count(%s) > bool 0", expr), At: seconds(p.before + p.failing), Samples: []sample{{Labels: "{}", Value: 1}}})
	}
	r.check(t, "", nil, expressions)
}

// turmoil is all scenarios in one world.
func turmoil(w *world) system {
	var systems []system
	for _, s := range scenarios {
		systems = append(systems, s.build(w))
	}
	return system{
		every: time.Second,
		call: func(ctx context.Context) error {
			var all sync.WaitGroup
			for _, s := range systems {
				if s.every > 0 {
					all.Go(func() { _ = s.call(ctx) })
				}
			}
			all.Wait()
			return nil
		},
		fail: func() {
			for _, s := range systems {
				happen(s.fail)
			}
		},
	}
}
