package steadydebug

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// named returns what stands for a name on the page.
func named(name string) string {
	if strings.TrimSpace(name) == "" {
		return "(no name)"
	}
	return name
}

// number returns v with as many digits as a reader wants: 0.04, 1.5, 23, 12,345.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs == 0:
		return "0"
	case abs < 0.01:
		return "< 0.01"
	case abs < 1:
		return trimmed(v, 2)
	case abs < 9.95:
		return trimmed(v, 1)
	case abs < 1e15:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func trimmed(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// count returns n with its thousands set apart.
func count(n uint64) string { return thousands(strconv.FormatUint(n, 10)) }

func thousands(digits string) string {
	sign, rest := "", digits
	if strings.HasPrefix(rest, "-") {
		sign, rest = "-", rest[1:]
	}
	for n := len(rest) - 3; n > 0; n -= 3 {
		rest = rest[:n] + "," + rest[n:]
	}
	return sign + rest
}

// seconds returns a time of v seconds in a unit that fits, with two digits or a little more.
func seconds(v float64) string {
	for _, u := range []struct {
		below, unit float64
		name        string
	}{{1e-6, 1e-9, "ns"}, {1e-3, 1e-6, "µs"}, {1, 1e-3, "ms"}, {120, 1, "s"}, {2 * 3600, 60, "min"}, {48 * 3600, 3600, "h"}} {
		if math.Abs(v) < u.below {
			return number(v/u.unit) + " " + u.name
		}
	}
	return number(v/(24*3600)) + " d"
}

func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return "< 0.1 %"
	}
	if share < 1 && share > 0.999 {
		return "> 99.9 %"
	}
	return fmt.Sprintf("%s %%", trimmed(100*share, 1))
}

// latency returns what stands for a bucket of the histogram.
func latency(v float64) string {
	switch v {
	case middleOf(0):
		return "< 1 µs"
	case middleOf(buckets - 1):
		return "> 1 h"
	}
	return seconds(v)
}
