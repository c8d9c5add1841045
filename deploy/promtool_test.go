package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// promtool runs Prometheus's tool, and returns what it says.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: run `make deps`, which installs Debian's package prometheus")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// The file that promtool test rules reads. JSON is YAML.
type (
	suite struct {
		RuleFiles          []string `json:"rule_files"`
		EvaluationInterval string   `json:"evaluation_interval"`
		Tests              []test   `json:"tests"`
	}
	test struct {
		Interval    string       `json:"interval"`
		InputSeries []input      `json:"input_series"`
		Alerts      []alertTest  `json:"alert_rule_test,omitempty"`
		Expressions []expression `json:"promql_expr_test,omitempty"`
	}
	input struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	// An alertTest says which alerts fire at a time, with all their labels and annotations.
	alertTest struct {
		At        string     `json:"eval_time"`
		Name      string     `json:"alertname"`
		ExpAlerts []expAlert `json:"exp_alerts"`
	}
	expAlert struct {
		Labels      map[string]string `json:"exp_labels"`
		Annotations map[string]string `json:"exp_annotations"`
	}
	// An expression says what a query returns at a time.
	expression struct {
		Expr    string   `json:"expr"`
		At      string   `json:"eval_time"`
		Samples []sample `json:"exp_samples"`
	}
	sample struct {
		Labels string  `json:"labels"`
		Value  float64 `json:"value"`
	}
)

// seconds writes a time as promtool reads it.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", d/time.Second) }

// input returns the series that are used, as two instances of a service would have them:
// the same in both, so that what is added up is twice as much, and shares stay as they are.
func (r recording) input(used string) []input {
	var all []input
	for _, s := range slices.Sorted(maps.Keys(r.series)) {
		if !strings.Contains(used, nameOf(s)) {
			continue
		}
		for _, instance := range []string{"a", "b"} {
			target := fmt.Sprintf(`{instance=%q,job="shop",`, instance)
			all = append(all, input{Series: strings.Replace(s, "{", target, 1), Values: strings.Join(r.series[s], " ")})
		}
	}
	return all
}

// check runs tests of the shipped rules, and of those in more if that is not empty, on a recording.
func (r recording) check(t *testing.T, more string, alerts []alertTest, expressions []expression) {
	t.Helper()
	shipped, err := filepath.Abs(rulesFile)
	require.NoError(t, err)
	text, err := os.ReadFile(shipped)
	require.NoError(t, err)
	used := string(text)
	for _, e := range expressions {
		used += e.Expr
	}
	dir := t.TempDir()
	s := suite{RuleFiles: []string{shipped}, EvaluationInterval: seconds(r.every), Tests: []test{{
		Interval: seconds(r.every), InputSeries: r.input(used), Alerts: alerts, Expressions: expressions,
	}}}
	if more != "" {
		own := filepath.Join(dir, "own.rules.yml")
		require.NoError(t, os.WriteFile(own, []byte(more), 0o600))
		s.RuleFiles = append(s.RuleFiles, own)
	}
	require.NotEmpty(t, s.Tests[0].InputSeries)
	file := filepath.Join(dir, "test.yml")
	content, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content, 0o600))
	out, err := promtool(t, "test", "rules", file)
	require.NoError(t, err, out)
}
