package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
)

// anyLag lets a run go on however slow the machine is that the tests run on: they
// ask whether the example works, not whether the hypothesis holds.
const anyLag = time.Hour

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
	svg, file := filepath.Join(dir, "run.svg"), filepath.Join(dir, "run.json")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-rate", "100", "-duration", "4s", "-seed", "7", "-svg", svg, "-json", file}, anyLag, &stdout, &stderr)
	check()

	require.Equal(t, exitInconclusive, code, "so short a run must not claim anything:\n%s", &stdout)
	require.Contains(t, stdout.String(), "Hypothesis inconclusive: too few requests to tell")
	require.Contains(t, stdout.String(), "Seed: 7.")
	require.Contains(t, stderr.String(), "breakers: ", "it shows progress")

	var r report
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	require.Len(t, r.Phases, 7)
	require.Len(t, r.Rows, 14)
	require.Len(t, r.Timeline, 4)
	require.EqualValues(t, 7, r.Seed)
	require.Equal(t, inconclusive, r.Verdict)
	requests := 0
	for _, row := range r.Rows {
		requests += row.Requests
		require.Contains(t, stdout.String(), row.Phase)
	}
	require.InDelta(t, 2*400, requests, 14, "both clients get every arrival")
	bare, guarded := r.Total[laneBare], r.Total[laneGuarded]
	require.Equal(t, bare.Requests, guarded.Requests)
	require.Less(t, bare.Availability, 0.95, "the faults are faults")
	require.Greater(t, guarded.Availability, bare.Availability, "the guarded client does better")
	require.Greater(t, guarded.Attempts, 1.0)

	picture, err := os.ReadFile(svg)
	require.NoError(t, err)
	requireXML(t, picture)
	for _, want := range []string{"steady", "refused", "hanging", "slow 500s", "recovery 3", ">guarded<", ">bare<", "seconds since the beginning"} {
		require.Contains(t, string(picture), want)
	}
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

func TestALateRunIsRepeatedOnceAndVisibly(t *testing.T) {
	defer nothingLeft(t)()
	var stdout, stderr bytes.Buffer
	const always = -time.Hour // no request can be early enough
	code := run(t.Context(), []string{"-svg", "", "-json", "-"}, always, &stdout, &stderr)
	require.Equal(t, exitInconclusive, code)
	require.Equal(t, 1, strings.Count(stderr.String(), "Repeating the run, once."), "the text gives way to JSON:\n%s", &stderr)
	require.Contains(t, stderr.String(), "Hypothesis inconclusive: a request was started")
	var r report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	require.Equal(t, 2, r.Run)
	require.Equal(t, inconclusive, r.Verdict)
	requireXML(t, []byte(r.svg()))
}

func TestInterruptEndsARunCleanly(t *testing.T) {
	defer nothingLeft(t)()
	ctx, interrupt := context.WithCancelCause(t.Context())
	time.AfterFunc(500*time.Millisecond, func() { interrupt(errors.New("interrupt signal received")) })
	var stdout bytes.Buffer
	code := run(ctx, []string{"-duration", "10m", "-svg", ""}, anyLag, &stdout, io.Discard)
	require.Equal(t, exitInconclusive, code)
	require.Contains(t, stdout.String(), "Hypothesis inconclusive: the run was interrupted.")
}

func TestEveryWrongFlagIsNamedAtOnce(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-rate", "NaN", "-nodes=1", "-failing", "1.5", "-duration", "soon", "-seed=-3", "left"}, lagLimit, &stdout, &stderr)
	require.Equal(t, exitUsage, code)
	require.Empty(t, stdout.String())
	for _, want := range []string{
		`-rate must be above 0 and at most 2000, got "NaN"`,
		`-nodes must be from 2 to 200, got "1"`,
		`-failing must be above 0 and at most 1, got "1.5"`,
		`-duration must be from 1s to 10m, got "soon"`,
		`-seed must be a whole number >= 0, got "-3"`,
		`unexpected arguments: ["left"]`,
	} {
		require.Contains(t, stderr.String(), want)
	}

	_, err := parseFlags([]string{"-failing", "0.01"}, io.Discard)
	require.EqualError(t, err, "-failing 0.01 of -nodes 10 is not even one node")
	_, err = parseFlags([]string{"-rate", "0", "-no-such"}, io.Discard)
	require.ErrorContains(t, err, "-rate must be")
	require.ErrorContains(t, err, "-no-such")
}

func TestArrivalsDependOnTheSeedAlone(t *testing.T) {
	phases := plan(38 * time.Second)
	one := arrivals(phases, 200, 1)
	require.Equal(t, one, arrivals(phases, 200, 1))
	require.NotEqual(t, one, arrivals(phases, 200, 2))
	failing := 0
	for _, due := range one {
		if phaseAt(phases, due).fault != none {
			failing++
		}
	}
	require.Len(t, one, 38*200)
	require.Equal(t, 5100, failing)
	require.GreaterOrEqual(t, failing, enough, "whatever the seed")
}

// The values are those of R's prop.test(k, n, correct = FALSE).
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		successes, n int
		low, high    float64
	}{
		{0, 0, 0, 1},
		{0, 10, 0, 0.2775},
		{5, 10, 0.2366, 0.7634},
		{8, 10, 0.4902, 0.9433},
		{10, 10, 0.7225, 1},
		{4995, 5000, 0.9977, 0.9996},
	} {
		low, high := wilson(c.successes, c.n)
		require.InDelta(t, c.low, low, 5e-5, "%d of %d", c.successes, c.n)
		require.InDelta(t, c.high, high, 5e-5, "%d of %d", c.successes, c.n)
	}
}

func TestVerdict(t *testing.T) {
	lines := func(requests int, bare, guarded, steady float64) *report {
		return &report{
			Rows:  []row{{High: 1}, {High: steady}},
			Total: []row{{Requests: requests, Availability: bare}, {Requests: requests, Availability: guarded}},
		}
	}
	for _, c := range []struct {
		name   string
		report *report
		cause  error
		want   string
		why    string
	}{
		{"just enough of everything", lines(4800, 0.8, 0.999, 1), nil, met, "guarded client held 99.900 %"},
		{"one failure too many", lines(5100, 0.8, 5094.0/5100, 1), nil, notMet, "held 99.882 %"},
		{"few requests", lines(4799, 0.8, 1, 1), nil, inconclusive, "too few requests"},
		{"not steady before", lines(5100, 0.8, 1, 0.99), nil, inconclusive, "no steady state"},
		{"the control held", lines(5100, 0.9995, 1, 1), nil, inconclusive, "the faults were none"},
		{"late", lines(5100, 0.8, 1, 1), errLate, inconclusive, "after it was due"},
		{"interrupted", lines(5100, 0.8, 1, 1), context.Canceled, inconclusive, "interrupted"},
	} {
		verdict, why := c.report.judge(&outcome{cause: c.cause})
		require.Equal(t, c.want, verdict, c.name)
		require.Contains(t, why, c.why, c.name)
	}
}

func TestPercentNeverLooksBetterThanItIs(t *testing.T) {
	require.Equal(t, "99.899 %", percent(0.9989996, 3))
	require.Equal(t, "99.900 %", percent(0.999, 3))
	require.Equal(t, "100.000 %", percent(1, 3))
	require.Equal(t, "99.99 %", percent(0.999999, 2))
}

func TestQuantile(t *testing.T) {
	require.Zero(t, quantile(nil, 0.99))
	require.EqualValues(t, 7, quantile([]time.Duration{7}, 0.5))
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	require.EqualValues(t, 50, quantile(values, 0.5))
	require.EqualValues(t, 99, quantile(values, 0.99))
}

func TestWatchDropsAnOlderChangeThatComesLate(t *testing.T) {
	w := newWatch(time.Now())
	on := func(seq uint64, to string) {
		w.On(t.Context(), steady.Event{Kind: steady.KindState, Key: "a", Seq: seq, To: to})
	}
	on(0, "closed")
	on(2, "half-open")
	on(1, "open")
	require.Equal(t, "9 closed 1 half-open", w.states(time.Hour, 10))
	steps, probes := w.steps()
	require.Len(t, steps, 2)
	require.Equal(t, 1, steps[1].Out)
	require.Len(t, probes, 1)
}
