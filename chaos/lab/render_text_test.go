package lab_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

var update = flag.Bool("update", false, "write the golden files of the reports")

// fakeReports are reports as they may come, by name.
func fakeReports() map[string]lab.Report {
	return map[string]lab.Report{
		"met": metReport(), "deviated": deviatedReport(), "aborted": abortedReport(),
		"hostile": hostileReport(), "hour": hourReport(), "empty": {},
	}
}

func TestTextIsAsItWas(t *testing.T) {
	for name, r := range fakeReports() {
		file := filepath.Join("testdata", name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(r.Text()), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), r.Text(), "run with -update if this is what you want")
	}
}

// anyReport draws a report in which anything may be anything.
func anyReport(t *rapid.T) lab.Report {
	r := rapid.Make[lab.Report]().Draw(t, "report")
	if rapid.Bool().Draw(t, "control") {
		control := rapid.Make[lab.Arm]().Draw(t, "the control")
		r.Control = &control
	}
	phases := rapid.SampledFrom([]lab.Phase{lab.PhaseBaseline, lab.PhaseFault, lab.PhaseRecovery, "", "<x>"})
	for i := range r.System.Phases {
		r.System.Phases[i].Phase = phases.Draw(t, "phase")
	}
	return r
}

func TestTextIsNeverTooWideNorObeyedByATerminal(t *testing.T) {
	check := func(t require.TestingT, text string) {
		require.True(t, strings.HasSuffix(text, "\n"))
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			require.LessOrEqual(t, lab.Cells(line), 100, line)
			require.False(t, strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", line)
			require.False(t, strings.HasSuffix(line, " "), line)
		}
	}
	for _, r := range fakeReports() {
		check(t, r.Text())
	}
	rapid.Check(t, func(t *rapid.T) { check(t, anyReport(t).Text()) })
}

func TestTextShowsTheControlBelowTheSystem(t *testing.T) {
	lines := strings.Split(metReport().Text(), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "fault     system") && strings.Contains(line, "–") {
			require.True(t, strings.HasPrefix(lines[i+1], "          control"), lines[i+1])
			return
		}
	}
	require.Fail(t, "there is no such line")
}

func TestTextSaysHowToReplayTheWorstSeed(t *testing.T) {
	require.Contains(t, metReport().Text(), "worst     seed 7, with an availability of 99.917 % during the fault\n")
	require.Contains(t, metReport().Text(), "-lab.seed=7 ")
	require.Contains(t, abortedReport().Text(), "Experiment.Seeded(20261126).Run", "real time is not replayed by go test")
}
