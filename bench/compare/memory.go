package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/steady-go/steady/bench/memory"
)

// memoryTable holds the bytes an entry takes in each library, for each room, in the order of
// both.
type memoryTable [][]float64

func measureMemory() memoryTable {
	var all memoryTable
	for _, n := range memory.Rooms {
		fmt.Fprintf(os.Stderr, "memory of %d entries\n", n)
		var row []float64
		for _, l := range memory.Libraries {
			row = append(row, l.PerEntry(n))
		}
		all = append(all, row)
	}
	return all
}

// maxMemory is how many times the memory of otter an entry may take here.
const maxMemory = 1.25

// memoryOf returns the column of a library.
func memoryOf(name string) int {
	return slices.IndexFunc(memory.Libraries, func(l memory.Library) bool { return l.Name == name })
}

func (m memoryTable) toOtter(row int) float64 {
	return m[row][memoryOf("steady")] / m[row][memoryOf("otter")]
}

func (m memoryTable) ok() bool {
	for row := range m {
		if m.toOtter(row) > maxMemory {
			return false
		}
	}
	return true
}

func (m memoryTable) render(w io.Writer) {
	fmt.Fprintf(w, "## Memory of caches\n\nBytes an entry takes beyond those of an empty cache, after a collection; key and value are numbers of 8 bytes, and entries expire. "+
		"This library is to take at most %s × what otter does.\n\n| entries |", figure(maxMemory))
	for _, l := range memory.Libraries {
		fmt.Fprintf(w, " %s |", l.Name)
	}
	fmt.Fprintf(w, " to otter | |\n|---|%s---|---|\n", strings.Repeat("---|", len(memory.Libraries)))
	for row, n := range memory.Rooms {
		fmt.Fprintf(w, "| %d |", n)
		for _, bytes := range m[row] {
			fmt.Fprintf(w, " %s |", figure(bytes))
		}
		fmt.Fprintf(w, " %s × | %s |\n", figure(m.toOtter(row)), verdict(m.toOtter(row) <= maxMemory))
	}
	fmt.Fprintln(w)
}

// verdict says whether a claim holds.
func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "**ABOVE**"
}
