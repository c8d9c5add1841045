package labtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/labtest"
)

func flaky(rate float64) lab.Experiment {
	return lab.Experiment{
		Name: "flaky", Hypothesis: "Nine in ten are answered.",
		Load: lab.Constant(100),
		System: func(w *lab.World) (lab.Call, error) {
			return func(ctx context.Context, _ lab.Request) error {
				return w.Chaos().Do(ctx, func(context.Context) error { return nil })
			}, nil
		},
		Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 6 * time.Second,
		Faults: []chaos.Fault{{Name: "fails", Effect: chaos.Error(errors.New("boom")), Rate: rate}},
		Steady: []lab.Probe{lab.Availability(0.9)},
		Seed:   5,
	}
}

func TestTwentySeedsInVirtualTimeArePooled(t *testing.T) {
	begin := time.Now()
	r := labtest.Test(t, flaky(0.05))
	require.Equal(t, lab.Met, r.Verdict)
	require.Len(t, r.Seeds, 20)
	require.Equal(t, uint64(5), r.Seeds[0])
	require.Equal(t, uint64(24), r.Seeds[19])
	require.True(t, r.Virtual)
	require.Less(t, time.Since(begin), 20*21*time.Second)
}

func TestSeedsAndFiles(t *testing.T) {
	dir := t.TempDir()
	r := labtest.Test(t, flaky(0.05), labtest.Seeds(2), labtest.Files(dir))
	require.Equal(t, []uint64{5, 6}, r.Seeds)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
}

func TestRunDoesNotFailTheTest(t *testing.T) {
	r := labtest.Run(t, flaky(0.5), labtest.Seeds(2))
	require.Equal(t, lab.Deviated, r.Verdict)
}

// TestInner is run by the tests below in a process of its own.
func TestInner(t *testing.T) {
	e := flaky(0.5)
	switch os.Getenv("LABTEST_INNER") {
	case "":
		t.Skip("run by other tests")
	case "check":
		e.Name = ""
	case "exit":
		e.System = func(*lab.World) (lab.Call, error) {
			t.FailNow()
			return nil, nil
		}
	}
	t.Run("of an experiment", func(t *testing.T) { labtest.Test(t, e) })
}

func inner(t *testing.T, how string, flags ...string) (output string, failed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run", "^TestInner$", "-test.v"}, flags...)...)
	cmd.Env = append(os.Environ(), "LABTEST_INNER="+how)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return string(out), err != nil
}

func TestAnExperimentThatIsNotMetFailsTheTest(t *testing.T) {
	out, failed := inner(t, "deviated")
	require.True(t, failed)
	require.Contains(t, out, "flaky: deviated: fault: availability ≥ 90 %: it was 50.")
	require.Contains(t, out, "to replay the worst seed: go test -run '^TestInner$/^of_an_experiment$' -lab.seed=")
	require.Contains(t, out, "--- PASS: TestInner/of_an_experiment/seeds/24")
}

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	out, failed := inner(t, "deviated", "-lab.seed=77", "-lab.out="+dir)
	require.True(t, failed)
	require.Contains(t, out, "TestInner/of_an_experiment/seeds/77")
	require.NotContains(t, out, "seeds/78")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)

	out, _ = inner(t, "deviated", "-lab.seeds=3")
	require.Contains(t, out, "seeds/7")
	require.NotContains(t, out, "seeds/8")

	for flag, want := range map[string]string{
		"-lab.seeds=0": "labtest: the number of seeds must be > 0, got 0",
		"-lab.seeds=x": "labtest: -lab.seeds: ",
		"-lab.seed=-1": "labtest: -lab.seed: ",
	} {
		out, failed = inner(t, "deviated", flag)
		require.True(t, failed)
		require.Contains(t, out, want)
	}
}

func TestAnExperimentThatIsFaultyFailsTheTest(t *testing.T) {
	out, failed := inner(t, "check")
	require.True(t, failed)
	require.Contains(t, out, `lab: Experiment.Name must be set, got ""`)
	require.NotContains(t, out, "seeds/")
}

func TestABuildMayFailTheTest(t *testing.T) {
	out, failed := inner(t, "exit")
	require.True(t, failed)
	require.Contains(t, out, "flaky: no seed was run to its end")
}
