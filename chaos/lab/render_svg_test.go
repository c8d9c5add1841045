package lab_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

// An element is one of a document, with the text in it.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// number returns the number that an attribute is.
func (e element) number(t require.TestingT, attr string) float64 {
	v, err := strconv.ParseFloat(e.attrs[attr], 64)
	require.NoError(t, err, "%s of %v", attr, e)
	return v
}

// elements parses a document, which must be XML.
func elements(t require.TestingT, doc []byte) []element {
	var all []element
	var open []int
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		}
	}
	return all
}

// checkPicture checks what must hold for each picture.
func checkPicture(t require.TestingT, svg []byte) {
	all := elements(t, svg)
	require.Equal(t, "svg", all[0].name)
	require.Equal(t, "title", all[1].name)
	for _, e := range all {
		require.Contains(t, []string{"svg", "title", "style", "rect", "path", "text"}, e.name)
		for name, value := range e.attrs {
			require.NotContains(t, value, "NaN")
			require.NotContains(t, value, "Inf")
			require.NotContains(t, []string{"href", "onload", "style"}, name)
		}
	}
	text := string(svg)
	require.Equal(t, 1, strings.Count(text, "http"), "the namespace is all that is named from elsewhere")
	require.NotContains(t, all[2].text, "url(")
	require.NotContains(t, all[2].text, "@import")
}

// A box is where a text is, if it is as wide as a wide font makes it.
type box struct {
	text                     string
	left, right, top, bottom float64
}

func boxes(t require.TestingT, svg []byte) []box {
	var all []box
	for _, e := range elements(t, svg) {
		if e.name != "text" {
			continue
		}
		size := 12.0
		switch {
		case strings.HasPrefix(e.attrs["class"], "name"):
			size = 20
		case e.attrs["class"] == "what":
			size = 13
		case e.attrs["class"] == "tick", e.attrs["class"] == "pill-text":
			size = 11
		}
		wide := float64(lab.Cells(e.text)) * size * 0.6
		x, y := e.number(t, "x"), e.number(t, "y")
		switch e.attrs["text-anchor"] {
		case "middle":
			x -= wide / 2
		case "end":
			x -= wide
		}
		all = append(all, box{e.text, x, x + wide, y - 0.75*size, y + 0.2*size})
	}
	return all
}

func TestSVGIsXMLThatNeedsNothingElse(t *testing.T) {
	for _, r := range fakeReports() {
		checkPicture(t, r.SVG())
	}
	rapid.Check(t, func(t *rapid.T) { checkPicture(t, anyReport(t).SVG()) })
}

func TestSVGHasNoLabelsOverEachOther(t *testing.T) {
	reports := fakeReports()
	for i, plan := range []lab.Plan{ // phases too short for their names, at each place
		{Warmup: time.Second, Baseline: time.Second, Fault: time.Second, Recovery: 200 * time.Second},
		{Warmup: 200 * time.Second, Baseline: time.Second, Fault: time.Second, Recovery: time.Second},
		{Warmup: 100 * time.Second, Baseline: time.Second, Fault: time.Second, Recovery: 100 * time.Second},
		{Baseline: time.Second, Fault: time.Second},
	} {
		f := newFake(plan, 100, 1)
		r := lab.Report{Name: strings.Repeat("long name ", 20), Hypothesis: strings.Repeat("a long hypothesis ", 30), Plan: plan, System: f.arm(plan.Warmup+plan.Baseline+plan.Fault+plan.Recovery, guarded)}
		for j := range 30 {
			r.System.Marks = append(r.System.Marks, lab.Mark{At: time.Duration(j*j) * 100 * time.Millisecond, What: "step", Name: strconv.Itoa(j)})
		}
		reports[strconv.Itoa(i)] = r
	}
	for name, r := range reports {
		all := boxes(t, r.SVG())
		root := elements(t, r.SVG())[0]
		for i, a := range all {
			require.GreaterOrEqual(t, a.left, 0.0, "%s: %v", name, a)
			require.LessOrEqual(t, a.right, root.number(t, "width"), "%s: %v", name, a)
			require.LessOrEqual(t, a.bottom, root.number(t, "height"), "%s: %v", name, a)
			for _, b := range all[:i] {
				apart := a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
				require.True(t, apart, "%s: %v over %v", name, a, b)
			}
		}
	}
}

// texts returns all that is written in a picture.
func texts(t *testing.T, r lab.Report) []string {
	var all []string
	for _, b := range boxes(t, r.SVG()) {
		all = append(all, b.text)
	}
	return all
}

func TestSVGNamesPhasesAxesAndMarks(t *testing.T) {
	all := texts(t, metReport())
	for _, want := range []string{
		"two of ten nodes hang", "✓ MET", "system", "control", "warm-up", "baseline", "fault", "recovery",
		"availability, each second", "100 %", "p99 of the latency, each second, logarithmic", "1s",
		"time since the beginning of the run", "30s", "4–6", "kill the process of node 0",
	} {
		require.Contains(t, all, want)
	}
}

func TestSVGShowsHostileNamesAsText(t *testing.T) {
	all := texts(t, hostileReport())
	require.Contains(t, all, `</text></svg><script>1</script>: ]]>\x00`)
	require.Contains(t, strings.Join(all, "\n"), `<script>alert("x")</script>&amp;]]> 故障注入`)
}

// After an abort, the fault is over before its time.
func TestSVGEndsTheFaultWhereItWasAborted(t *testing.T) {
	for _, e := range elements(t, abortedReport().SVG()) {
		if e.attrs["class"] == "bar fault" {
			second := 860.0 / 82
			require.InDelta(t, 12.25*second, e.number(t, "width"), 0.1)
			return
		}
	}
	require.Fail(t, "there is no fault")
}

func TestSVGOfAnHourHasNoMoreThanAPointForTwoDots(t *testing.T) {
	svg := hourReport().SVG()
	require.Less(t, len(svg), 100_000)
	require.Contains(t, texts(t, hourReport()), "availability, the worst second of every 8 seconds")
	for _, e := range elements(t, svg) {
		require.LessOrEqual(t, strings.Count(e.attrs["d"], "L"), 450)
	}
}

// A second in which nothing was due says nothing of availability, and one without an
// answer nothing of latency.
func TestSVGBreaksLinesWhereThereIsNothing(t *testing.T) {
	r := lab.Report{Name: "gap", Plan: lab.Plan{Baseline: 5 * time.Second}}
	second := lab.Second{Offered: 10, OK: 10, P99: time.Millisecond, Attempts: 10}
	r.System.Seconds = []lab.Second{second, second, {}, {Offered: 10}, second}
	var moves []int
	for _, e := range elements(t, r.SVG()) {
		if e.attrs["class"] == "line system" && strings.Contains(e.attrs["d"], "L") {
			moves = append(moves, strings.Count(e.attrs["d"], "M"))
		}
	}
	require.Equal(t, []int{2, 2, 1}, moves, "availability, latency, attempts")
}

func TestSVGOfNumbersBeyondAllMeasure(t *testing.T) {
	r := lab.Report{Plan: lab.Plan{Warmup: math.MaxInt64, Baseline: math.MaxInt64}}
	r.System.Seconds = []lab.Second{
		{Offered: math.MaxInt, OK: math.MaxInt, P99: math.MaxInt64, Attempts: math.MaxInt},
		{Offered: math.MinInt, OK: -1, P99: math.MinInt64, Attempts: math.MinInt}, {OK: 5, P99: 1},
	}
	r.System.Marks = []lab.Mark{{At: math.MinInt64}, {At: math.MaxInt64, What: "disarm"}}
	checkPicture(t, r.SVG())
}
