package lab_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service that runs experiments must not get the flags and the size of package
// testing: that is what package labtest is for.
func TestLabDoesNotLinkTesting(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, "github.com/steady-go/steady/chaos", "the list is one")
	for _, dep := range deps {
		require.False(t, dep == "testing" || strings.HasPrefix(dep, "testing/"), dep)
	}
}
