package cache

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// A tally is a count that several cores can raise at once without waiting for each other: it
// is spread over stripes, of which a goroutine takes one by where its stack is. A hit has nothing
// else to write, and with one count for all it would take twice as long where two cores hit.
type tally struct {
	stripes []stripe
	shift   int // of the hash of a stack's place, to the number of a stripe
}

type stripe struct {
	n atomic.Uint64
	_ [120]byte // processors fetch lines of 64 bytes in pairs
}

func newTally() tally {
	n := 32 // so that two goroutines seldom take the same
	for n < 4*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return tally{stripes: make([]stripe, n), shift: 64 - bits.TrailingZeros(uint(n))}
}

// stackBits is the logarithm of the size of the smallest stack.
const stackBits = 11

func (t *tally) add() {
	var here byte
	place := uint64(uintptr(unsafe.Pointer(&here))) >> stackBits // a number, not a pointer: nothing is read there
	t.stripes[place*0x9e3779b97f4a7c15>>t.shift].n.Add(1)        // Fibonacci hashing: Knuth, TAOCP 3, 6.4
}

func (t *tally) sum() (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].n.Load()
	}
	return n
}
