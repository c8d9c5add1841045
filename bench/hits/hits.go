// Package hits measures what share of the requests a cache of bounded size answers,
// on traces that are the same for every library.
//
// A trace is replayed by one goroutine: what is not in the cache is put into it. A
// cache that does its work behind the caller's back is given the time to finish it.
package hits

// A Cache is a cache of some library, with room for [Room] keys.
type Cache interface {
	Get(key uint64) bool
	Put(key uint64)
}

// A Library is one whose cache is measured.
type Library struct {
	Name   string
	Policy string // of eviction, as the library calls it
	New    func() (c Cache, closing func())
}

// Room is how many keys a cache may hold: a twentieth of those that a trace draws
// from.
const Room = keys / 20

// Ratio replays a trace against a new cache of l, and returns the share of the
// requests that found their key.
func (l Library) Ratio(t Trace) float64 {
	c, closing := l.New()
	defer closing()
	hits := 0
	for key := range t.Requests() {
		if c.Get(key) {
			hits++
		} else {
			c.Put(key)
		}
	}
	return float64(hits) / float64(t.length())
}
