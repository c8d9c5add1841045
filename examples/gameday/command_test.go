package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// small is an experiment of four seconds that ends with the verdict that is asked for.
func small(name string, v lab.Verdict) exhibit {
	build := func(fails bool) lab.Build {
		return func(w *lab.World) (lab.Call, error) {
			w.Rollback("mend it", func(context.Context) error { return nil })
			return func(ctx context.Context, _ lab.Request) error {
				err := w.Chaos().Do(ctx, func(ctx context.Context) error { return sleep(ctx, time.Millisecond) })
				if fails {
					return err
				}
				return nil
			}, nil
		}
	}
	return exhibit{name, "what " + name + " is about", func() lab.Experiment {
		return lab.Experiment{
			Name: name, Hypothesis: "It <holds>.",
			Load:     lab.Constant(100),
			System:   build(v == lab.Deviated),
			Control:  build(v != lab.Inconclusive),
			Baseline: time.Second, Fault: 2 * time.Second, Recovery: time.Second,
			Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}},
			Steady: []lab.Probe{lab.Availability(0.9)},
		}
	}}
}

var smallGallery = []exhibit{small("good", lab.Met), small("bad", lab.Deviated), small("vague", lab.Inconclusive)}

// command runs the command on the small gallery in a bubble, in a folder of its own.
func command(t *testing.T, args ...string) (code int, stdout, stderr, dir string) {
	t.Helper()
	dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out, err bytes.Buffer
		a := app{gallery: smallGallery, stdout: &out, stderr: &err}
		code = a.run(t.Context(), append(args, "-out", dir))
		stdout, stderr = out.String(), err.String()
	})
	return code, stdout, stderr, dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(data)
}

func TestWithoutFlagsTheGalleryIsListed(t *testing.T) {
	var stdout bytes.Buffer
	require.Equal(t, exitMet, app{gallery: gallery, stdout: &stdout}.run(t.Context(), nil))
	for _, x := range gallery {
		require.Contains(t, stdout.String(), x.name)
		require.Contains(t, stdout.String(), x.about)
	}
	require.Contains(t, stdout.String(), "go run ./examples/gameday -run hang")
	require.NoDirExists(t, defaultOut)
}

func TestARunShowsItsProgressAndItsReport(t *testing.T) {
	code, stdout, stderr, dir := command(t, "-run", "good", "-seed", "7")
	require.Equal(t, exitMet, code, stderr)
	require.Contains(t, stdout, "== good: what good is about. It takes 4s.\nIt <holds>.\n")
	require.Regexp(t, `system +control`, stdout)
	require.Regexp(t, `\n   1 s  baseline  (99|100|101)/(99|100|101) ok`, stdout)
	require.Regexp(t, `\n   2 s  fault     (99|100|101)/(99|100|101) ok(, 1 waiting)? +[012]/(99|100|101) ok`, stdout)
	require.Regexp(t, `\n   4 s  recovery `, stdout)
	require.Contains(t, stdout, "MET  good\n")
	require.Contains(t, stdout, "mend it")
	require.Contains(t, stdout, "The reports are in "+filepath.Join(dir, "index.html"))
	for _, file := range []string{"good.html", "good.svg", "good.txt", "good.json"} {
		require.FileExists(t, filepath.Join(dir, file))
	}
	r, err := readReport(dir, "good")
	require.NoError(t, err)
	require.Equal(t, []uint64{7}, r.Seeds)
}

func TestAllAreRunAndSummedUp(t *testing.T) {
	code, stdout, stderr, dir := command(t, "-run", "all")
	require.Equal(t, exitNotMet, code, stderr)
	require.Regexp(t, `(?m)^good +met +100.0 % +0.[0-9] % +100.0 % +100.0 %`, stdout)
	require.Regexp(t, `(?m)^bad +deviated +0.[0-9] %`, stdout)
	require.Regexp(t, `(?m)^vague +inconclusive `, stdout)
	page := read(t, dir, "index.html")
	for _, x := range smallGallery {
		require.Contains(t, page, `<a href="`+x.name+`.html">`)
		require.Contains(t, page, x.about)
	}
	require.Contains(t, page, `<span class="badge deviated">DEVIATED</span>`)
	require.Contains(t, page, "It &lt;holds&gt;.")
	for _, text := range []string{stdout, page} {
		require.Contains(t, text, "fault: availability ≥ 90 %: it was 0")
	}
}

func TestSomeAreRunInTheOrderOfTheGallery(t *testing.T) {
	code, stdout, _, dir := command(t, "-run", "vague,good")
	require.Equal(t, exitInconclusive, code)
	require.Less(t, strings.Index(stdout, "== good"), strings.Index(stdout, "== vague"))
	require.NotContains(t, stdout, "== bad")
	require.NoFileExists(t, filepath.Join(dir, "bad.json"))
}

func TestTheIndexHoldsReportsOfEarlierRunsToo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"good", "bad"} {
		r := lab.Report{Name: name, Verdict: lab.Met}
		require.NoError(t, r.WriteFiles(dir))
	}
	path, err := writeIndex(dir, smallGallery)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "index.html"), path)
	page := read(t, dir, "index.html")
	require.Contains(t, page, "good.html")
	require.Contains(t, page, "bad.html")
	require.NotContains(t, page, "vague")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{"), 0o644))
	_, err = writeIndex(dir, smallGallery)
	require.ErrorContains(t, err, "bad.json")
}

func TestAnInterruptEndsARunCleanlyAndTheRestIsNotRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { interrupt(errors.New("interrupt signal received")) })
		var stdout bytes.Buffer
		a := app{gallery: smallGallery, stdout: &stdout, stderr: io.Discard}
		require.Equal(t, exitNotMet, a.run(ctx, []string{"-run", "all", "-out", dir}))
		require.Contains(t, stdout.String(), "ABORTED  good")
		require.Contains(t, stdout.String(), "interrupt signal received")
		require.Contains(t, stdout.String(), "Not run: bad, vague")
	})
	r, err := readReport(dir, "good")
	require.NoError(t, err)
	require.True(t, hasMark(r, "rollback", "mend it"))
	require.NoFileExists(t, filepath.Join(dir, "bad.json"))
	require.FileExists(t, filepath.Join(dir, "index.html"))
}

func hasMark(r lab.Report, what, name string) bool {
	for _, m := range r.System.Marks {
		if m.What == what && m.Name == name && m.Err == "" {
			return true
		}
	}
	return false
}

// virtually runs the command with a go test that leaves reports of these verdicts.
func virtually(t *testing.T, dir string, left map[string]lab.Verdict, testErr error, args ...string) (code int, stdout, stderr string, got []string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := app{gallery: smallGallery, stdout: &out, stderr: &errs, goTest: func(_ context.Context, args ...string) (string, error) {
		got = args
		for name, v := range left {
			if err := (lab.Report{Name: name, Verdict: v, Virtual: true, Seeds: []uint64{1, 2}}).WriteFiles(dir); err != nil {
				return "", err
			}
		}
		return "what go test said", testErr
	}}
	code = a.run(t.Context(), append(args, "-virtual", "-out", dir))
	return code, out.String(), errs.String(), got
}

func TestVirtualTimeIsHadByGoTest(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr, args := virtually(t, dir, map[string]lab.Verdict{"good": lab.Met, "bad": lab.Met}, nil, "-run", "good,bad", "-seeds", "3")
	require.Equal(t, exitMet, code, stderr)
	require.Equal(t, []string{"test", "-count=1", "-run", "^TestGallery$/^(good|bad)$", ".", "-lab.out=" + dir, "-lab.seeds=3"}, args)
	require.Contains(t, stdout, "In virtual time, 3 seeds each: good, bad")
	require.Contains(t, read(t, dir, "index.html"), "2 seeds in virtual time")

	_, _, _, args = virtually(t, dir, map[string]lab.Verdict{"good": lab.Met}, nil, "-run", "good", "-seed", "9")
	require.Contains(t, args, "-lab.seed=9")
	require.NotContains(t, strings.Join(args, " "), "-lab.seeds")
}

func TestInVirtualTimeTheVerdictsDecideToo(t *testing.T) {
	failed := errors.New("exit status 1")
	for verdict, want := range map[lab.Verdict]int{lab.Deviated: exitNotMet, lab.Inconclusive: exitInconclusive} {
		code, _, stderr, _ := virtually(t, t.TempDir(), map[string]lab.Verdict{"good": verdict}, failed, "-run", "good")
		require.Equal(t, want, code, stderr)
		require.Empty(t, stderr, "the report tells")
	}
	code, _, stderr, _ := virtually(t, t.TempDir(), map[string]lab.Verdict{"good": lab.Met}, failed, "-run", "good")
	require.Equal(t, exitNotMet, code, "the test failed for another reason")
	require.Contains(t, stderr, "what go test said")
}

func TestAReportOfAnEarlierRunIsNotTakenForThisOne(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, lab.Report{Name: "good", Verdict: lab.Met}.WriteFiles(dir))
	code, _, stderr, _ := virtually(t, dir, nil, errors.New("virtual time needs a test"), "-run", "good")
	require.Equal(t, exitNotMet, code)
	require.Contains(t, stderr, "there is no report of good")
	require.Contains(t, stderr, "virtual time needs a test")
}

func TestVirtualTimeForReal(t *testing.T) {
	if race || testing.Short() {
		t.Skip("it builds and runs this test again, of which once is enough")
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	a := app{gallery: gallery, stdout: &stdout, stderr: &stderr, goTest: goTest}
	code := a.run(t.Context(), []string{"-run", "shard", "-virtual", "-seeds", "2", "-out", dir})
	require.Equal(t, exitMet, code, "%s%s", &stdout, &stderr)
	r, err := readReport(dir, "shard")
	require.NoError(t, err)
	require.True(t, r.Virtual)
	require.Len(t, r.Seeds, 2)
}

func TestEveryWrongFlagIsNamedAtOnce(t *testing.T) {
	code, stdout, stderr, _ := command(t, "-run", "good,nonsense", "-seeds", "0", "-seed", "1", "left")
	require.Equal(t, exitUsage, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, `-run: there is no experiment "nonsense"; there are: good, bad, vague, all`)
	require.Contains(t, stderr, "-seeds must be above 0, got 0")
	require.Contains(t, stderr, "-seeds is for -virtual")
	require.Contains(t, stderr, "-seed and -seeds exclude each other")
	require.Contains(t, stderr, `unexpected arguments: ["left"`)

	for _, wrong := range [][]string{
		{"-no-such"}, {"-run"}, {"-virtual"}, {"-seed", "-3", "-run", "good"}, {"-run", "good", "-out", ""},
	} {
		var stderr bytes.Buffer
		require.Equal(t, exitUsage, app{gallery: smallGallery, stdout: io.Discard, stderr: &stderr}.run(t.Context(), wrong), "%q", wrong)
		require.NotEmpty(t, stderr.String(), "%q", wrong)
	}
	require.Equal(t, exitMet, app{gallery: smallGallery, stderr: io.Discard}.run(t.Context(), []string{"-help"}))
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	var stderr bytes.Buffer
	a := app{gallery: smallGallery, stdout: io.Discard, stderr: &stderr}
	require.Equal(t, exitNotMet, a.run(t.Context(), []string{"-run", "good", "-out", file}))
	require.Contains(t, stderr.String(), "gameday: ")
}

func TestTheDefaultFolderIsNotCommitted(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, config{out: defaultOut}.makeFolder())
	require.Equal(t, "*\n", read(t, defaultOut, ".gitignore"))
	require.NoError(t, config{out: "kept"}.makeFolder())
	require.NoFileExists(t, "kept/.gitignore")
}

func TestTheExitCodeIsThatOfTheWorstVerdict(t *testing.T) {
	of := func(verdicts ...lab.Verdict) int {
		var reports []lab.Report
		for _, v := range verdicts {
			reports = append(reports, lab.Report{Verdict: v})
		}
		return exitCode(reports)
	}
	require.Equal(t, exitMet, of(lab.Met, lab.Met))
	require.Equal(t, exitInconclusive, of(lab.Met, lab.Inconclusive, lab.Met))
	for _, v := range []lab.Verdict{lab.Deviated, lab.Aborted, lab.Error} {
		require.Equal(t, exitNotMet, of(lab.Inconclusive, v, lab.Met), v)
	}
}

func TestAvailabilityNeverLooksBetterThanItIs(t *testing.T) {
	of := func(ok, offered int) string {
		return available(lab.Arm{Phases: []lab.Tally{{Phase: lab.PhaseFault, Offered: offered, OK: ok}}}, lab.PhaseFault)
	}
	require.Equal(t, "99.9 %", of(99999, 100000))
	require.Equal(t, "100.0 %", of(7, 7))
	require.Equal(t, "0.0 %", of(0, 7))
	require.Equal(t, "-", of(0, 0))
	require.Equal(t, "-", available(lab.Arm{}, lab.PhaseFault))
}

func TestRecoveryInAFewWords(t *testing.T) {
	of := func(r lab.Recovery) string { return recovered(lab.Arm{Recovery: r}) }
	require.Equal(t, "-", of(lab.Recovery{}))
	require.Equal(t, "at once", of(lab.Recovery{Runs: 2}))
	require.Equal(t, "in 3s", of(lab.Recovery{Runs: 2, Max: 3 * time.Second}))
	require.Equal(t, "not in 1 of 2", of(lab.Recovery{Runs: 2, Never: 1, Max: 15 * time.Second}))
	require.Equal(t, "never", of(lab.Recovery{Runs: 2, Never: 2, Max: 15 * time.Second}))
}
