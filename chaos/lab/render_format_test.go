package lab_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

func TestAvailabilityHasTheDigitsThatMatter(t *testing.T) {
	for share, want := range map[float64]string{
		0: "0 %", 1: "100 %", 0.5: "50 %", 0.8012: "80.1 %", 0.9995: "99.95 %", 0.99951: "99.951 %", 0.9971: "99.71 %",
		0.99999: "99.999 %", 0.9999992: "99.99992 %", 0.00012: "0.012 %", 0.0312: "3.1 %",
	} {
		require.Equal(t, want, lab.ShareText(share), share)
	}
	require.Equal(t, "– %", lab.ShareText(math.NaN()))
}

// 99.8999 % is less than 99.9 %, and must not look as if it were that.
func TestAvailabilityIsCutNotRounded(t *testing.T) {
	require.Equal(t, "99.89 %", lab.ShareText(0.998999))
}

func TestAvailabilityIs100PercentOnlyIfNothingFailed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1<<40).Draw(t, "offered")
		failed := min(rapid.IntRange(0, 1000).Draw(t, "failed"), n)
		text := lab.ShareText(float64(n-failed) / float64(n))
		require.Equal(t, failed == 0, text == "100 %", text)
		require.Equal(t, failed == n, text == "0 %", text)
	})
}

func TestIntervalHasTheDigitsOfItsAvailability(t *testing.T) {
	require.Equal(t, "99.918–99.947 %", lab.IntervalText(0.99933, 0.999183, 0.999478))
	require.Equal(t, "26.7–29.0 %", lab.IntervalText(0.278, 0.2671, 0.2904))
	require.Equal(t, "99.9926–100 %", lab.IntervalText(1, 0.999926, 1))
	require.Equal(t, "0–3.6 %", lab.IntervalText(0, 0, 0.0362))
}

func TestDurationsHaveThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234: "1.23µs", 24_149_000: "24.1ms", 318_400_000: "318ms", 999_600_000: "1s",
		4_312_000_000: "4.31s", 59_960_000_000: "1m", 75 * time.Second: "1m15s", 120 * time.Second: "2m",
		59*time.Minute + 59*time.Second + 700*time.Millisecond: "1h", 90 * time.Minute: "1h30m", 62*time.Minute + 31*time.Second: "1h3m",
		-1500 * time.Millisecond: "-1.5s", math.MaxInt64: "2562047h47m", math.MinInt64: "-2562047h47m",
	} {
		require.Equal(t, want, lab.SpanText(d), int64(d))
	}
}

func TestCountsHaveThousandsSeparators(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -999: "-999", -1000: "-1,000"} {
		require.Equal(t, want, lab.Thousands(n))
	}
}

func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	for s, want := range map[string]string{
		"a\nb\r\nc\n": "a; b; c", "\x1b[31mred": `\x1b[31mred`, "tab\there": "tab here", "\u202egnp": `\u202egnp`,
		"bad \xff": "bad \uFFFD", "a\u00a0b": "a b", "größe 数": "größe 数",
	} {
		require.Equal(t, want, lab.Plain(s))
	}
}

func TestWidthIsThatOfATerminal(t *testing.T) {
	for s, want := range map[string]int{"abc": 3, "≥ 99.9 %": 8, "größe": 5, "gro\u0308ße": 5, "故障": 4, "한국": 4, "🔥": 2, "": 0} {
		require.Equal(t, want, lab.Cells(s), s)
	}
}

func TestFilesHavePlainNames(t *testing.T) {
	for name, want := range map[string]string{
		"Two of Ten  nodes!": "two-of-ten-nodes", "../../etc/passwd": "etc-passwd", "": "experiment", "…": "experiment", "故障 1": "故障-1", "a\x00/\\b": "a-b",
	} {
		require.Equal(t, want, lab.Slug(name))
	}
	require.LessOrEqual(t, len(lab.Slug(string(make([]rune, 300))+longName)), 100)
}

const longName = "数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数数"
