package hits

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"sort"
)

const (
	keys     = 100_000
	requests = 1_000_000
)

// A Trace is a sequence of requests, the same each time that it is asked for.
type Trace struct {
	Name  string
	About string

	skew float64 // the nth most popular key is asked for as 1/n to the power of this
	scan float64 // share of the requests that go through all keys, one after the other, and come back to none
	move int     // after as many requests the popular keys are others; 0: never
	end  int     // of how many requests; 0: a million
}

func (t Trace) length() int { return cmp.Or(t.end, requests) }

// Traces are those on which caches are compared.
var Traces = []Trace{
	{Name: "zipf 0.8", About: "many keys are about as popular", skew: 0.8},
	{Name: "zipf 1.0", About: "a few keys make most of the requests", skew: 1},
	{Name: "zipf 0.9 and scan", About: "a fifth of the requests reads once through everything, as a crawler does", skew: 0.9, scan: 0.2},
	{Name: "shifting", About: "zipf 1.0, whose popular keys are others after each tenth", skew: 1, move: requests / 10},
}

// First returns the beginning of t, of n requests.
func (t Trace) First(n int) Trace {
	t.end = n
	return t
}

// Requests returns the keys asked for, in their order.
func (t Trace) Requests() iter.Seq[uint64] {
	up := make([]float64, keys) // to which share the popularity of the keys adds up
	sum := 0.0
	for n := range up {
		sum += math.Pow(float64(n+1), -t.skew)
		up[n] = sum
	}
	return func(yield func(uint64) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		scanned, moved := uint64(keys), uint64(0)
		for n := range t.length() {
			if t.move > 0 && n > 0 && n%t.move == 0 {
				moved += keys / 7
			}
			key := scanned
			if random.Float64() < t.scan {
				scanned++
			} else {
				rank := sort.SearchFloat64s(up, random.Float64()*sum)
				key = (uint64(rank) + moved) % keys
			}
			if !yield(key) {
				return
			}
		}
	}
}
