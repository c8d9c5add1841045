package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/steady-go/steady/bench/hits"
	"github.com/steady-go/steady/bench/speed"
)

// fixed is a report in which every library takes 1000 ns and makes 5 allocations,
// this one 10 ns and none, and the bare call 1 ns.
func fixed() report {
	t := make(times)
	for _, c := range append(speed.Cases(), speed.Floors()) {
		for _, v := range c.Variants {
			for _, s := range settings {
				if c.Runs == speed.SerialOnly && s.Run != "serial" || c.Runs == speed.ParallelOnly && s.Run != "parallel" {
					continue
				}
				one := sample{1000, 64, 5}
				switch v.Lib {
				case speed.Steady:
					one = sample{10, 0, 0}
				case "bare":
					one = sample{1, 0, 0}
				}
				t[bench{c.Name, v.Lib, s}] = []sample{one, one, one}
			}
		}
	}
	return report{
		Passes: 3, Each: time.Second, Times: t,
		Sizes:   []size{{"gobreaker", 127_400, 5, 1}},
		Hits:    fixedHits(),
		Memory:  memoryTable{{100, 80, 90, 90, 90}, {100, 80, 90, 90, 90}},
		Modules: []string{"example.com/rival v1.2.3"},
		Machine: []string{"a quiet machine"},
		Traps:   "| trap | verdict |\n",
	}
}

// fixedHits are hit ratios of one half.
func fixedHits() (h hitRatios) {
	for range hits.Traces {
		row := make([]float64, len(hits.Libraries))
		for i := range row {
			row[i] = 0.5
		}
		h = append(h, row)
	}
	return h
}

func requireLines(t *testing.T, r report, lines ...string) {
	t.Helper()
	got := string(r.render())
	for _, line := range lines {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("the report lacks the line\n%s", line)
		}
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || strings.Contains(got, "%!") {
		t.Error("the report has a number that is none")
	}
	if t.Failed() {
		t.Logf("%s", got)
	}
}

func TestReportOfALibraryThatIsFaster(t *testing.T) {
	r := fixed()
	if !r.ok() {
		t.Error("a claim does not hold")
	}
	requireLines(t, r,
		"Than a rival that offers the same thing: nowhere.",
		"Than one that offers less: nowhere.",
		"| breaker, closed | gobreaker | 0.40 × | 0.010 × | 0.010 to 0.010 | time.Since 1 × | ok |",
		"| breaker, closed | none | 0 allocs | 0 allocs | 0 to 0 |  | ok |",
		"| retry, the first attempt succeeds | bare | 15 ns more | 9 ns more | 9 to 9 |  | ok |",
		"| pipeline, the call waits | context.WithTimeout | 2 allocs more | -5 allocs more | -5 to -5 |  | ok |",
		"<!-- traps: begin -->\n| trap | verdict |\n<!-- traps: end -->",
		"| BreakerOpen | 10 | 0 | 0.010 time.Since | 0.010 gobreaker | 0.010 gobreaker | 0.010 gobreaker | 0.010 gobreaker |",
		"| BulkheadQueued | 10 | 0 | 0.010 x-sync-semaphore | 0.010 failsafe-go | 0.010 failsafe-go | | |",
		"| bare | 0 | 0 | 1 (10) | 1 (10) | 1 (10) | 1 (10) | |",
		"| gobreaker | 5 | 64 | 1000 (0.010) | 1000 (0.010) | 1000 (0.010) | 1000 (0.010) | |",
		"| gobreaker | 127 | 5 | 1 |",
		"| zipf 0.8: many keys are about as popular | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | ok |",
		"| 100000 | 100 | 80 | 90 | 90 | 90 | 1.25 × | ok |",
		"| cache, a hot hit, two cores | otter | 1.50 × | 0.010 × | 0.010 to 0.010 | time.Since 1 × | ok |",
		"- example.com/rival v1.2.3",
		"- a quiet machine",
		"| mutex | parallel, 2 cores | 1000 | 1 | 1 | 1 | 1 |",
	)
}

func TestReportOfALibraryThatIsSlower(t *testing.T) {
	r := fixed()
	serial := setting{"serial", 1}
	r.Times[bench{"BreakerOpen", "gobreaker", serial}] = []sample{{5, 0, 0}, {4, 0, 0}, {20, 0, 0}}
	r.Times[bench{"RetryFirst", "go-resiliency", serial}] = []sample{{5, 0, 0}, {5, 0, 0}, {5, 0, 0}}
	if r.ok() {
		t.Error("all claims hold")
	}
	requireLines(t, r,
		"Than a rival that offers the same thing: once.",
		"| BreakerOpen: open, calls are refused | gobreaker | **2** serial, 1 core (0.50 to 2.50, in 2 of 3 passes) | it reads the clock to see whether it is time to probe |",
		"Than one that offers less: once.",
		"| RetryFirst: the first attempt succeeds | go-resiliency | **2** serial, 1 core (2 to 2, in 3 of 3 passes) | no permanent errors, no Retry-After, starts calls for a caller that has left |",
		"| breaker, open | gobreaker | 0.70 × | 2 × | 0.50 to 2.50 | time.Since 200 × | **ABOVE** |",
	)
}

// A claim is about a case and a library that are measured.
func TestClaimsAreMeasured(t *testing.T) {
	r := fixed()
	for _, c := range claims {
		for _, lib := range []string{speed.Steady, c.Than} {
			if lib != "" && len(r.Times[bench{c.Case, lib, c.On}]) == 0 {
				t.Errorf("nobody measures %s of %s", c.Case, lib)
			}
		}
	}
}

func TestOutputOfBenchmarksIsRead(t *testing.T) {
	got := make(times)
	n, err := got.add([]byte("goos: linux\n" +
		"BenchmarkBreakerOpen/lib=failsafe-go-permit/run=serial         \t 12\t  61.50 ns/op\t  8 B/op\t  1 allocs/op\n" +
		"BenchmarkBreakerOpen/lib=failsafe-go-permit/run=parallel-2     \t 12\t  0.5 ns/op\t  0 B/op\t  0 allocs/op\n" +
		"PASS\n"))
	if n != 2 || err != nil {
		t.Fatalf("read %d, error %v", n, err)
	}
	want := times{
		{"BreakerOpen", "failsafe-go-permit", setting{"serial", 1}}:   {{61.5, 8, 1}},
		{"BreakerOpen", "failsafe-go-permit", setting{"parallel", 2}}: {{0.5, 0, 0}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := got.add([]byte("BenchmarkBreakerOpen 12 ns\n")); err == nil {
		t.Error("a line that is not understood is passed over")
	}
}

func TestGoModRequiresWhatIsImported(t *testing.T) {
	source, err := os.ReadFile("../size/steady-four/main.go")
	if err != nil {
		t.Fatal(err)
	}
	got, err := goMod(source)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "\nrequire github.com/steady-go/steady v0.0.0\n") || strings.Count(string(got), "require") != 1 {
		t.Errorf("got\n%s", got)
	}
}

func TestFiguresHaveAsManyDigitsAsTheyAreWorth(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 2: "2", 0.0591: "0.059", 0.304: "0.30", 12.34: "12.3", 1234.5: "1234", -3: "-3"} {
		if got := figure(f); got != want {
			t.Errorf("figure(%v) = %s, want %s", f, got, want)
		}
	}
}
