package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const rulesFile = "prometheus/steady.rules.yml"

// A rule records a series or raises an alert.
type rule struct {
	Record, Alert       string
	Expr                string
	Labels, Annotations map[string]string
}

// rules returns the shipped rules.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal(text, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// alert returns the rule of an alert.
func alert(t *testing.T, name string) rule {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert == name {
			return r
		}
	}
	require.FailNow(t, "there is no such alert", name)
	return rule{}
}

func TestPromtoolTakesTheRules(t *testing.T) {
	out, err := promtool(t, "check", "rules", rulesFile)
	require.NoError(t, err, out)
}

func TestRulesNameOnlyWhatIsThere(t *testing.T) {
	for _, r := range rules(t) {
		requireKnown(t, r.Record+r.Alert, r.Expr)
	}
}

// readmeBlock returns the block of YAML in README.md that names something.
func readmeBlock(t *testing.T, name string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, b := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(b[1], name) {
			return b[1]
		}
	}
	require.FailNow(t, "README.md has no such block", name)
	return ""
}

func TestEachAlertHasWhatOneNeedsAtNight(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	anchors := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (\S.*)$`).FindAllStringSubmatch(string(readme), -1) {
		anchors[strings.ToLower(strings.ReplaceAll(h[1], " ", "-"))] = true
	}
	tested := map[string]bool{}
	for _, s := range scenarios {
		tested[s.alert] = true
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		require.Contains(t, []string{"page", "ticket", "info"}, r.Labels["severity"], r.Alert)
		require.Contains(t, r.Annotations["summary"], "{{ $labels.steady_name }} of {{ $labels.job }}", r.Alert)
		require.Contains(t, r.Annotations["summary"], "{{ $value", r.Alert)
		require.Contains(t, r.Annotations["description"], "{{ $labels.steady_name }}", r.Alert)
		page, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		require.True(t, strings.HasSuffix(page, "/deploy/README.md"), r.Alert)
		require.Equal(t, strings.ToLower(r.Alert), anchor)
		require.True(t, anchors[anchor], "README.md has no section %s", r.Alert)
		require.True(t, tested[r.Alert], "%s has no scenario", r.Alert)
		delete(anchors, anchor)
	}
	for a := range anchors {
		require.False(t, strings.HasPrefix(a, "steady") && !strings.Contains(a, "-"), "README.md tells of an alert %s that is not there", a)
	}
}
