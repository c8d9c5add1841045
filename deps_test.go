package steady_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/steady-go/steady"

// mayImport says which packages of this module each of its packages may import.
// Dependencies point one way: steady ← policies ← adapters. Packages that are not
// listed, such as examples, may import all.
var mayImport = map[string][]string{
	"":                             {"/internal/chain", "/internal/check", "/internal/deadline"},
	"/internal/deadline":           {},
	"/internal/chain":              {},
	"/internal/check":              {},
	"/internal/refusal":            {},
	"/internal/report":             {""},
	"/breaker":                     {"", "/internal/chain", "/internal/check", "/internal/refusal", "/internal/report"},
	"/bulkhead":                    {"", "/internal/chain", "/internal/check", "/internal/refusal", "/internal/report"},
	"/retry":                       {"", "/internal/chain", "/internal/check", "/internal/refusal", "/internal/report"},
	"/operation":                   {"", "/internal/chain", "/internal/check", "/internal/report"},
	"/timeout":                     {"", "/internal/chain", "/internal/check", "/internal/deadline", "/internal/refusal", "/internal/report"},
	"/cache":                       {"", "/internal/check", "/internal/deadline", "/internal/refusal", "/internal/report"},
	"/idempotency":                 {"", "/internal/check", "/internal/refusal", "/internal/report"},
	"/idempotency/httpidempotency": {"", "/idempotency", "/internal/check"},
	"/idempotency/storetest":       {"/idempotency"},
	"/chaos":                       {"", "/internal/chain", "/internal/check", "/internal/deadline", "/internal/report"},
	"/chaos/lab":                   {"", "/chaos", "/internal/check"},
	"/chaos/lab/labtest":           {"/chaos/lab"},
	"/internal/inventory":          {"", "/internal/check"},
	"/steadytest":                  {""},
	"/steadydebug":                 {"", "/internal/check", "/internal/inventory"},
	"/steadyotel":                  {"", "/internal/check", "/internal/inventory"},
}

// mayRequire are the modules from elsewhere that a package may depend on, directly
// or not. Packages that are not listed may use the standard library alone.
var mayRequire = map[string][]string{
	"/steadytest":            {"github.com/stretchr/testify", "go.yaml.in/yaml/v3"},
	"/idempotency/storetest": {"github.com/stretchr/testify", "go.yaml.in/yaml/v3", "github.com/anishathalye/porcupine"},
	"/steadyotel": {
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/log", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace",
		"github.com/cespare/xxhash/v2", "github.com/go-logr/logr", "github.com/go-logr/stdr", "go.opentelemetry.io/auto/sdk",
	},
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "GOWORK=off") // this module, not the workspace
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func TestDependenciesPointOneWay(t *testing.T) {
	for pkg, allowed := range mayImport {
		for _, imported := range goList(t, "-f", `{{join .Imports "\n"}}`, module+pkg) {
			if own, ok := strings.CutPrefix(imported, module); ok {
				require.Contains(t, allowed, own, "what %q imports", pkg)
			}
		}
	}
}

func TestPackagesNeedNoMoreThanTheyMay(t *testing.T) {
	for pkg := range mayImport {
		for _, dep := range goList(t, "-deps", "-f", `{{with .Module}}{{.Path}}{{end}}`, module+pkg) {
			if dep != module {
				require.Contains(t, mayRequire[pkg], dep, "the modules that %q depends on", pkg)
			}
		}
	}
}

func TestRootModuleStaysLight(t *testing.T) {
	allowed := []string{
		"github.com/stretchr/testify", "golang.org/x/sync", "golang.org/x/time",
		"pgregory.net/rapid", "github.com/anishathalye/porcupine",
	}
	for _, m := range goList(t, "-m", "-f", `{{if not (or .Main .Indirect)}}{{.Path}}{{end}}`, "all") {
		ok := slices.Contains(allowed, m) || strings.HasPrefix(m, "go.opentelemetry.io/otel")
		require.True(t, ok, "the root module must not require %s", m)
	}
}
