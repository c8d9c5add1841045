package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// dash is shown where there is nothing to show.
const dash = "–"

// thousands returns n with a comma between groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shareText returns a share in percent, with two significant digits of what it lacks to
// 100 % or is above 0 %, whichever is less: 99.71 %, 99.9992 %. It is cut, not rounded, so that
// it never seems to keep a bound that it misses, and is 100 % only if nothing is lacking.
func shareText(share float64) string { return cutShare(share, shareDigits(share), true) + " %" }

// intervalText returns the ends of an interval of share with as many digits as share
// has, but with five decimals at most: more would make rows too wide to read.
func intervalText(share, low, high float64) string {
	digits := shareDigits(share)
	switch {
	case share >= 1:
		digits = shareDigits(low)
	case share <= 0:
		digits = shareDigits(high)
	}
	digits = min(digits, 5)
	return cutShare(low, digits, false) + "–" + cutShare(high, digits, false) + " %"
}

// shareDigits returns how many decimals of a share in percent matter.
func shareDigits(share float64) int {
	rest := 100 * min(share, 1-share)
	if !(rest > 0) {
		return 1
	}
	return min(max(1-int(math.Floor(math.Log10(rest))), 1), 8)
}

// cutShare returns a share in percent with so many decimals, or fewer if those at the
// end are zeros and short is set or nothing else is left.
func cutShare(share float64, digits int, short bool) string {
	if !(share >= 0 && share <= 1) {
		return dash
	}
	scale := math.Pow10(digits)
	s := strconv.FormatFloat(math.Floor(share*100*scale+1e-6)/scale, 'f', digits, 64)
	if short || share <= 0 || share >= 1 {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// ratioText returns a number of attempts a request, or the like.
func ratioText(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// spanText returns a duration rounded to three significant digits; from a minute on to
// seconds, from an hour on to minutes.
func spanText(d time.Duration) string {
	if d < 0 {
		return "-" + spanText(-max(d, -math.MaxInt64))
	}
	unit := time.Duration(1)
	for d < time.Minute && d/unit >= 1000 {
		unit *= 10
	}
	if d = d.Round(unit); d >= time.Minute {
		d = d.Round(time.Second)
	}
	if d >= time.Hour {
		d = d.Round(time.Minute)
	}
	if d < time.Minute {
		return d.String()
	}
	s := d.String()
	if d%time.Minute == 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// plain returns a string that anyone may have made up as one line that does nothing to a
// terminal: line ends become "; ", other characters that cannot be seen their escapes.
func plain(s string) string {
	s = string([]rune(s)) // what is no UTF-8 becomes U+FFFD, as in JSON
	if !strings.ContainsFunc(s, unseen) {
		return s
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case unseen(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unseen(r rune) bool { return !unicode.IsPrint(r) }

// cells returns how many columns s takes in a terminal.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

// wide are the characters that take two columns, by Unicode's report 11 (those that are
// wide or full width), in broad strokes.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115F, Stride: 1}, {Lo: 0x2E80, Hi: 0x303E, Stride: 1}, {Lo: 0x3041, Hi: 0xA4CF, Stride: 1},
		{Lo: 0xA960, Hi: 0xA97C, Stride: 1}, {Lo: 0xAC00, Hi: 0xD7A3, Stride: 1}, {Lo: 0xF900, Hi: 0xFAFF, Stride: 1},
		{Lo: 0xFE30, Hi: 0xFE6F, Stride: 1}, {Lo: 0xFF00, Hi: 0xFF60, Stride: 1}, {Lo: 0xFFE0, Hi: 0xFFE6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1F300, Hi: 0x1F64F, Stride: 1}, {Lo: 0x1F680, Hi: 0x1F6FF, Stride: 1}, {Lo: 0x1F900, Hi: 0x1F9FF, Stride: 1}, {Lo: 0x20000, Hi: 0x3FFFD, Stride: 1}},
}

func runeCells(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// clip returns s, cut so that it takes at most n columns.
func clip(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	n-- // for the dots
	for i, r := range s {
		if n -= runeCells(r); n < 0 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// wrap returns s in lines of at most n columns, broken at spaces where that is possible.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }) {
		if line != "" && cells(line)+1+cells(word) <= n {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for line = word; cells(line) > n; {
			head, room := 0, n
			for i, r := range line {
				if room -= runeCells(r); room < 0 {
					head = i
					break
				}
			}
			if head == 0 {
				break // not even one character finds room
			}
			lines, line = append(lines, line[:head]), line[head:]
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// slug returns a name as part of a file's name: letters and digits, in lower case, with dashes
// between, of at most a hundred bytes.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) || r == unicode.ReplacementChar })
	s := strings.Join(words, "-")
	if len(s) > 100 {
		s = strings.Trim(strings.ToValidUTF8(s[:100], ""), "-")
	}
	if s == "" {
		return "experiment"
	}
	return s
}

// counted returns n things in words: "1 run", "20 runs".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%s %ss", thousands(n), thing)
}
