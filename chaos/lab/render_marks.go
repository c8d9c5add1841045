package lab

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A markRow is something that was done, or that was done several times in a row, to
// one of the two or to both.
type markRow struct {
	At              []time.Duration
	Arm             string // "" if it was done to both, or there is no control
	What, Name, Err string
}

// markRows returns the marks of the two, in order. What was done to both is there once.
func (r Report) markRows() []markRow {
	var all []markRow
	for i, a := range r.arms() {
		for _, m := range a.Marks {
			row := markRow{[]time.Duration{m.At}, "system", plain(m.What), plain(m.Name), plain(m.Err)}
			if i == 0 {
				all = append(all, row)
				continue
			}
			if at := slices.IndexFunc(all, row.same); at >= 0 {
				all[at].Arm = ""
				continue
			}
			row.Arm = a.name
			all = append(all, row)
		}
	}
	slices.SortStableFunc(all, func(a, b markRow) int { return cmp.Compare(a.At[0], b.At[0]) })
	var rows []markRow
	for _, row := range all {
		if r.Control == nil {
			row.Arm = ""
		}
		if n := len(rows); n > 0 && row.same(rows[n-1]) {
			rows[n-1].At = append(rows[n-1].At, row.At...)
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// same reports whether the same was done in m and o to the same arm.
func (m markRow) same(o markRow) bool {
	return m.Arm == o.Arm && m.What == o.What && m.Name == o.Name && m.Err == o.Err
}

// When says when it was done, from the first time to the last.
func (m markRow) When() string {
	first, last := spanText(m.At[0]), spanText(m.At[len(m.At)-1])
	if first == last {
		return first
	}
	return first + "–" + last
}

// Text says what was done to what, and what came of it.
func (m markRow) Text() string {
	s := m.Name
	if m.Arm != "" {
		s = strings.TrimSpace(m.Arm + ": " + s)
	}
	if m.Err != "" {
		s = strings.TrimPrefix(s+": "+m.Err, ": ")
	}
	if n := len(m.At); n > 1 {
		s = strings.TrimSpace(s + " (" + strconv.Itoa(n) + " times)")
	}
	return s
}
