package chaos

import (
	"context"

	"github.com/steady-go/steady"
)

// A stream is an endless row of draws, of which each can be had by its number alone.
type stream struct {
	base uint64
	key  string // of draws from a context's source; the key of the call follows
}

// newStream returns the stream of one purpose of a fault. How it draws must never change: a seed that
// is written down must hit the same calls in later versions.
func newStream(seed uint64, purpose, injector, fault string) stream {
	// FNV-1a tells the names apart, one byte that no UTF-8 has keeps them from running
	// together, and the finalizer of splitmix64 spreads what differs over all bits.
	h := uint64(14695981039346656037)
	for _, s := range [...]string{purpose, injector, fault} {
		for n := range len(s) {
			h = (h ^ uint64(s[n])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return stream{base: mix(h ^ mix(seed+golden)), key: purpose + ":" + injector + ":" + fault + ":"}
}

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of splitmix64: Steele, Lea and Flood, Fast Splittable Pseudorandom
// Number Generators (2014), with the constants of Stafford's variant 13.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// at returns the n-th number of the stream, in [0, 1).
func (s stream) at(n uint64) float64 {
	return float64(mix(s.base^mix(n+golden))>>11) * 0x1p-53
}

// of returns the number for a call, in [0, 1): from the context's source if it carries
// one, else the n-th.
func (s stream) of(ctx context.Context, key string, n uint64) float64 {
	if source, ok := steady.SourceOf(ctx); ok {
		return source.Float64(s.key+key, uint64(steady.Attempt(ctx)))
	}
	return s.at(n)
}
