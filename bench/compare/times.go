package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/bench/speed"
)

// A setting is how a benchmark is run.
type setting struct {
	Run   string // serial or parallel
	Cores int
}

func (s setting) String() string {
	if s.Cores == 1 {
		return s.Run + ", 1 core"
	}
	return fmt.Sprintf("%s, %d cores", s.Run, s.Cores)
}

var settings = []setting{{"serial", 1}, {"serial", 2}, {"parallel", 1}, {"parallel", 2}}

// A bench is one benchmark in one setting.
type bench struct {
	Case, Lib string
	setting
}

// A sample is one measurement.
type sample struct{ ns, bytes, allocs float64 }

// times are all measurements of each benchmark, pass after pass. The floor has two
// for each pass.
type times map[bench][]sample

func measureAll(dir string, passes int, each time.Duration) (times, error) {
	binary := filepath.Join(dir, "speed.test")
	compile := exec.Command("go", "test", "-c", "-o", binary, "./speed")
	compile.Env = append(os.Environ(), "GOWORK=off")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compare: go test -c ./speed: %w\n%s", err, out)
	}
	all, floors := make(times), speed.Floors()
	for pass := range passes {
		fmt.Fprintf(os.Stderr, "pass %d of %d\n", pass+1, passes)
		if err := all.measure(binary, floors, pass, each); err != nil {
			return nil, err
		}
		for _, c := range speed.Cases() {
			if err := all.measure(binary, c, pass, each); err != nil {
				return nil, err
			}
		}
		if err := all.measure(binary, floors, pass, each); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// measure runs the benchmarks of a case, one library after the other. Each pass
// begins with another one.
func (t times) measure(binary string, c speed.Case, pass int, each time.Duration) error {
	n := len(c.Variants)
	for i := range n {
		pattern := fmt.Sprintf("^Benchmark%s$/^lib=%s$", c.Name, regexp.QuoteMeta(c.Variants[(i+pass)%n].Lib))
		cmd := exec.Command(binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", each.String(),
			"-test.cpu", "1,2", "-test.timeout", "2m")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("compare: %s: %w\n%s", pattern, err, out)
		}
		got, err := t.add(out)
		if err != nil {
			return fmt.Errorf("compare: %s: %w\n%s", pattern, err, out)
		}
		if got == 0 {
			return fmt.Errorf("compare: %s: measured nothing\n%s", pattern, out)
		}
	}
	return nil
}

var line = regexp.MustCompile(`^Benchmark(\w+)/lib=(\S+)/run=(\w+?)(?:-(\d+))?\s+\d+\s+(\S+) ns/op\s+(\S+) B/op\s+(\S+) allocs/op`)

// add takes in the output of benchmarks and returns how many there were.
func (t times) add(out []byte) (int, error) {
	n := 0
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "Benchmark") {
			continue
		}
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			return n, fmt.Errorf("not understood: %q", s.Text())
		}
		b := bench{m[1], m[2], setting{m[3], 1}}
		if m[4] != "" {
			b.Cores, _ = strconv.Atoi(m[4])
		}
		var v [3]float64
		for i := range v {
			var err error
			if v[i], err = strconv.ParseFloat(m[5+i], 64); err != nil {
				return n, err
			}
		}
		t[b] = append(t[b], sample{v[0], v[1], v[2]})
		n++
	}
	return n, nil
}

// each returns one figure of each measurement of a benchmark.
func (t times) each(b bench, of func(sample) float64) []float64 {
	var v []float64
	for _, s := range t[b] {
		v = append(v, of(s))
	}
	return v
}

func (t times) ns(b bench) float64 {
	return measure.Median(t.each(b, func(s sample) float64 { return s.ns }))
}

func (t times) allocs(b bench) float64 {
	return measure.Median(t.each(b, func(s sample) float64 { return s.allocs }))
}

func (t times) bytes(b bench) float64 {
	return measure.Median(t.each(b, func(s sample) float64 { return s.bytes }))
}

// relation returns, for each pass, what f makes of the time of this library and
// that of another.
func (t times) relation(name, lib string, s setting, f func(own, other float64) float64) []float64 {
	return t.compare(name, speed.Steady, lib, s, f)
}

// compare is relation for any two variants of a case.
func (t times) compare(name, one, lib string, s setting, f func(one, other float64) float64) []float64 {
	a, b := t[bench{name, one, s}], t[bench{name, lib, s}]
	var v []float64
	for i := range min(len(a), len(b)) {
		v = append(v, f(a[i].ns, b[i].ns))
	}
	return v
}

func quotient(own, other float64) float64   { return own / other }
func difference(own, other float64) float64 { return own - other }
