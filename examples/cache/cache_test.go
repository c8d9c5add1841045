package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos/lab"
)

// nothingLeft returns a func that fails the test if goroutines were left since.
func nothingLeft(t *testing.T) func() {
	t.Helper()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		// What the last connections leave behind ends by itself, in its own time.
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		stacks := make([]byte, 1<<16)
		require.LessOrEqual(t, runtime.NumGoroutine(), before, "%s", stacks[:runtime.Stack(stacks, true)])
	}
}

func TestShortRunOnRealSockets(t *testing.T) {
	check := nothingLeft(t)
	dir := t.TempDir()
	svg := filepath.Join(dir, "run.svg")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), loopback, []string{"-rate", "100", "-duration", "5s", "-seed", "7", "-svg", svg, "-out", dir}, &stdout, &stderr)
	check()
	require.NotEqual(t, exitMet, code, "so short a run must not claim anything")
	require.Contains(t, stdout.String(), "It takes 5s.")

	text, err := os.ReadFile(filepath.Join(dir, "cache.json"))
	require.NoError(t, err)
	r, err := lab.ReadJSON(text)
	require.NoError(t, err)
	require.NotEqual(t, lab.Error, r.Verdict, "%v", r.Reasons)
	require.False(t, r.Virtual)
	picture, err := os.ReadFile(svg)
	require.NoError(t, err)
	requireXML(t, picture)
	require.Contains(t, stderr.String(), "  1 s  ", "it shows progress")

	if !brokeThings(r) {
		t.Skip("this machine has too much to do: the system was not steady before anything was broken")
	}
	require.Equal(t, exitInconclusive, code, "%s", &stdout)
	require.Contains(t, stdout.String(), "too few requests to claim it")
	faults := table(t, stdout.String())["all faults"]
	require.Zero(t, faults.cache.failed, "warm keys are answered, however late the machine is")
	require.Less(t, faults.bare.ok, faults.bare.callers/4, "the faults are faults")
	require.Less(t, faults.cache.calls, faults.bare.calls/2)
	for _, err := range []string{"connect: connection refused", "context deadline exceeded", "the origin answered 503 Service Unavailable"} {
		require.Contains(t, stdout.String(), err)
	}
}

// brokeThings reports whether the run came to its faults.
func brokeThings(r lab.Report) bool {
	for _, m := range r.System.Marks {
		if m.What == "step" && m.Name == "slow" {
			return true
		}
	}
	return false
}

func requireXML(t *testing.T, text []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

// A line is one of the table, and rows are those of a stage.
type (
	line struct{ callers, ok, fresh, loaded, stale, onError, failed, calls int }
	rows struct{ cache, bare line }
)

// table reads the table back.
func table(t *testing.T, text string) map[string]rows {
	t.Helper()
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		return n
	}
	stages := make(map[string]rows)
	var stage string
	for _, m := range regexp.MustCompile(`(?m)^ *(.*?) +(cache|bare) +(\d+) +[\d.]+ % +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) .* (\d+)$`).FindAllStringSubmatch(text, -1) {
		l := line{
			callers: number(m[3]), fresh: number(m[4]), loaded: number(m[5]), stale: number(m[6]),
			onError: number(m[7]), failed: number(m[8]), calls: number(m[9]),
		}
		l.ok = l.callers - l.failed
		r := stages[stage]
		if m[2] == "cache" {
			stage = m[1]
			r = rows{cache: l}
		} else {
			r.bare = l
		}
		stages[stage] = r
	}
	require.Contains(t, stages, "steady", "%s", text)
	return stages
}

// runVirtually runs the program in the virtual time of a bubble, where no other work of the machine
// matters, with its origins at the end of pipes.
func runVirtually(t *testing.T, args ...string) (code int, stages map[string]rows, output string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		code = run(t.Context(), newPipes(), append([]string{"-svg", ""}, args...), &stdout, io.Discard)
		output = stdout.String()
	})
	return code, table(t, output), output
}

func TestTheHypothesisIsMet(t *testing.T) {
	seeds := []string{"1", "2", "3"}
	if race {
		seeds = seeds[:1] // it looks for races and not for tails, and is five times slower
	}
	for _, seed := range seeds {
		code, stages, output := runVirtually(t, "-seed", seed)
		require.Equal(t, exitMet, code, "%s", output)
		require.Zero(t, stages["all faults"].cache.failed, "the keys were warm")
		require.Less(t, stages["all faults"].bare.ok, stages["all faults"].bare.callers/100)
	}
}

func TestEachStageShowsItsWindows(t *testing.T) {
	_, stages, output := runVirtually(t)
	t.Log("\n" + output)
	for name, r := range stages {
		require.Equal(t, r.cache.callers, r.bare.callers, "both get every arrival in %s", name)
		require.InDelta(t, r.bare.callers, r.bare.calls, 3, "the bare client asks for each in %s", name)
		require.Equal(t, r.cache.ok, r.cache.fresh+r.cache.loaded+r.cache.stale+r.cache.onError, "%s", name)
	}
	require.Zero(t, stages["steady"].cache.onError)
	require.Positive(t, stages["steady"].cache.loaded)
	require.Positive(t, stages["steady"].cache.stale, "of what is seldom asked for")

	slow := stages["slow"].cache
	require.Greater(t, slow.fresh, slow.callers/2, "loads end, though nobody waits for so long")
	require.Less(t, slow.loaded, slow.callers/20)
	require.Greater(t, slow.calls, slow.callers/10)

	for _, down := range []string{"503s", "refused"} {
		c := stages[down].cache
		require.Positive(t, c.fresh, "the entries of before in %s", down)
		require.Less(t, c.loaded, c.callers/100, "but those that were under way in %s", down)
		require.Positive(t, c.stale, down)
		require.Greater(t, c.onError, c.callers/2, down)
		require.Less(t, c.calls, c.callers/25, "the breaker keeps most loads from an origin that is down in %s", down)
	}
	// The breaker is open for 0.6 s at most, and an entry rests for 1 s at most after a failure.
	require.Greater(t, stages["back"].cache.fresh, stages["back"].cache.callers/10)
	require.Positive(t, stages["back"].cache.loaded)
}

func TestAnOutageLongerThanStaleIfErrorIsFelt(t *testing.T) {
	code, stages, output := runVirtually(t, "-stale-if-error", "1500ms")
	require.Equal(t, exitNotMet, code)
	require.Contains(t, output, "DEVIATED  cache")
	require.Positive(t, stages["503s"].cache.failed)
	require.Zero(t, stages["steady"].cache.failed)
}

func TestAnOriginThatIsNeverBrokenGivesNothingAway(t *testing.T) {
	healthy := append([]stage(nil), stages...)
	for i := range healthy {
		healthy[i].fault = none
	}
	defer func(before []stage) { stages = before }(stages)
	stages = healthy
	code, _, output := runVirtually(t)
	require.Equal(t, exitInconclusive, code, "%s", output)
	require.Contains(t, output, "control")
}

func TestInterruptEndsARunCleanly(t *testing.T) {
	defer nothingLeft(t)()
	ctx, interrupt := context.WithCancelCause(t.Context())
	time.AfterFunc(500*time.Millisecond, func() { interrupt(errors.New("interrupt signal received")) })
	var stdout bytes.Buffer
	code := run(ctx, loopback, []string{"-duration", "10m", "-svg", ""}, &stdout, io.Discard)
	require.Equal(t, exitInconclusive, code)
	require.Contains(t, stdout.String(), "ABORTED")
	require.Contains(t, stdout.String(), "interrupt signal received")
}

// runOf returns the report of a run in which so many of 1,000 requests were late.
func runOf(v lab.Verdict, late int) lab.Report {
	return lab.Report{Verdict: v, Lag: lab.Lag{Late: late, Spoiled: late > 10}}
}

func TestALateRunIsRepeatedOnceAndVisibly(t *testing.T) { synctest.Test(t, lateRuns) }

func lateRuns(t *testing.T) {
	for _, c := range []struct {
		name   string
		runs   []lab.Report
		want   lab.Verdict
		repeat bool
	}{
		{"in time", []lab.Report{runOf(lab.Met, 0)}, lab.Met, false},
		{"late, then in time", []lab.Report{runOf(lab.Inconclusive, 500), runOf(lab.Deviated, 0)}, lab.Deviated, true},
		{"late twice", []lab.Report{runOf(lab.Inconclusive, 500), runOf(lab.Inconclusive, 500)}, lab.Inconclusive, true},
		{"inconclusive for another reason", []lab.Report{runOf(lab.Inconclusive, 10)}, lab.Inconclusive, false},
	} {
		var out bytes.Buffer
		r := twiceIfLate(t.Context(), &out, func() lab.Report {
			next := c.runs[0] // panics if there are more than there should be
			c.runs = c.runs[1:]
			return next
		})
		require.Empty(t, c.runs, c.name)
		require.Equal(t, c.want, r.Verdict, c.name)
		require.Equal(t, c.repeat, strings.Contains(out.String(), "Repeating the run, once."), c.name)
	}
}

// scoreOf returns a score with one stage in which all was well but for c.
func scoreOf(t *testing.T, change func(c *count)) *score {
	t.Helper()
	c, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	s := newScore(c, io.Discard)
	for i := range stages {
		one := &s.counts[cachedClient][i]
		one.ended, one.sources[cache.Fresh] = 1000, 1000
	}
	change(&s.counts[cachedClient][firstFault])
	return s
}

func TestOneStageThatDeviatesIsEnough(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*count)
		want   lab.Verdict
	}{
		{"all well", func(*count) {}, lab.Met},
		{"one of 1,000 failed", func(c *count) { c.sources[cache.None] = 1 }, lab.Met},
		{"two of 1,000 failed", func(c *count) { c.sources[cache.None] = 2 }, lab.Deviated},
		{"as old as may be", func(c *count) { c.oldest = time.Minute + attemptLimit }, lab.Met},
		{"all the calls that there may be", func(c *count) { c.calls = 3500 }, lab.Met},
		{"one more", func(c *count) { c.calls = 3501 }, lab.Deviated},
		{"too old", func(c *count) { c.oldest = time.Minute + attemptLimit + 1 }, lab.Deviated},
	} {
		r := lab.Report{Verdict: lab.Met}
		claim(&r, scoreOf(t, c.change), time.Minute)
		require.Equal(t, c.want, r.Verdict, c.name)
		require.Equal(t, c.want == lab.Deviated, len(r.Reasons) > 0, "it says why")
	}
}

func TestAVerdictThatIsNotMetIsLeftAlone(t *testing.T) {
	r := lab.Report{Verdict: lab.Inconclusive}
	claim(&r, scoreOf(t, func(c *count) { c.sources[cache.None] = 1000 }), time.Minute)
	require.Equal(t, lab.Inconclusive, r.Verdict)
	require.Empty(t, r.Reasons)
}

func TestTheExitCodeTellsTheVerdict(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, c := range []struct {
		ctx     context.Context
		verdict lab.Verdict
		want    int
	}{
		{t.Context(), lab.Met, exitMet},
		{t.Context(), lab.Deviated, exitNotMet},
		{t.Context(), lab.Aborted, exitNotMet},
		{t.Context(), lab.Error, exitNotMet},
		{t.Context(), lab.Inconclusive, exitInconclusive},
		{interrupted, lab.Aborted, exitInconclusive},
		{interrupted, lab.Error, exitNotMet},
	} {
		require.Equal(t, c.want, exitCode(c.ctx, c.verdict), c.verdict)
	}
}

func TestSomethingBrokeIsNotMet(t *testing.T) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "no", "such", "folder.svg")
	require.Equal(t, exitNotMet, run(ctx, loopback, []string{"-svg", file}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "no such file or directory")
}

func TestEveryWrongFlagIsNamedAtOnce(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), loopback, []string{"-rate", "NaN", "-duration", "11m", "-stale-if-error", "1s", "left"}, &stdout, &stderr)
	require.Equal(t, exitUsage, code)
	require.Empty(t, stdout.String())
	for _, want := range []string{
		"-rate must be above 0 and at most 2000, got NaN",
		"-duration must be from 1s to 10m, got 11m0s",
		"-stale-if-error must be 0, or above 1s and at most 1h, got 1s",
		`unexpected arguments: ["left"]`,
	} {
		require.Contains(t, stderr.String(), want)
	}
	for _, wrong := range []string{"-no-such", "-duration=soon", "-seed=-3", "-stale-if-error=-1s"} {
		require.Equal(t, exitUsage, run(t.Context(), loopback, []string{wrong}, &stdout, io.Discard), wrong)
	}
	require.Equal(t, exitMet, run(t.Context(), loopback, []string{"-help"}, &stdout, io.Discard))
}

func TestTheLabTakesWhatTheFlagsAllow(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"-duration", "1s", "-rate", "0.1"},
		{"-duration", "10m", "-rate", "2000", "-stale-if-error", "0"},
	} {
		c, err := parseFlags(args, io.Discard)
		require.NoError(t, err)
		require.NoError(t, experiment(c, newScore(c, io.Discard), loopback).Check())
	}
}

func TestTheStagesAreThePhasesOfTheLab(t *testing.T) {
	c, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 20*time.Second, c.duration)
	require.Equal(t, time.Second, c.warmup())
	require.Equal(t, 2*time.Second, c.baseline())
	require.Equal(t, 15*time.Second, c.fault())
	require.Equal(t, 2*time.Second, c.recovery())
	for i, s := range stages {
		require.Equal(t, i, c.stageAt(c.at(s.from)), s.name)
		require.Equal(t, i, c.stageAt(c.at(s.to)-1), s.name)
		if i > 0 {
			require.Equal(t, stages[i-1].to, s.from, "there is no gap")
		}
		if s.fault != none {
			require.Greater(t, c.at(s.to)-c.at(s.from), fresh+staleWhileRevalidate, "%s goes through all windows", s.name)
		}
	}
	require.Equal(t, len(stages)-1, c.stageAt(time.Hour))
}

func TestAFewKeysGetMostRequests(t *testing.T) {
	const n = 10_000
	count := make(map[string]int)
	for i := range n {
		count[keyAt((float64(i)+0.5)/n)]++
	}
	require.Len(t, count, keyCount, "and each gets some")
	require.InDelta(t, n/5.878, count["item-0"], 1, "one over the sum of one over each")
	require.InDelta(t, 2, float64(count["item-9"])/float64(count["item-19"]), 0.1)
	top := 0
	for _, key := range allKeys()[:10] {
		top += count[key]
	}
	require.InDelta(t, n/2, top, n/50)
	require.Equal(t, keyName(keyCount-1), keyAt(1-1e-16))
}

func TestPercentNeverLooksBetterThanItIs(t *testing.T) {
	require.Equal(t, "99.899 %", percent(998999, 1e6))
	require.Equal(t, "99.900 %", percent(999, 1000))
	require.Equal(t, "100.000 %", percent(5100, 5100))
	require.Equal(t, "-", percent(0, 0))
}

func TestQuantilesAreByNearestRank(t *testing.T) {
	require.Zero(t, quantile(nil, 0.99))
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	require.Equal(t, time.Duration(50), quantile(hundred, 0.5))
	require.Equal(t, time.Duration(99), quantile(hundred, 0.99))
	require.Equal(t, time.Duration(100), quantile(hundred, 1))
	require.Equal(t, time.Duration(100), hundred[0], "what is measured is left in its order")
}
