package cache

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A window is one of the ages of an entry.
type window uint8

const (
	dead       window = iota // past all windows
	fresh                    // as good as new
	ahead                    // fresh, and to be loaded anew
	revalidate               // stale, and to be loaded anew
	ifError                  // stale, and good only if a load fails
	negative                 // remembers that there is nothing
)

// windows are the lengths of the windows without jitter, in nanoseconds of age.
type windows struct {
	ahead, fresh, revalidate, ifError int64
	negative                          int64
	jitter                            float64

	// unit is the logarithm of the unit in which an entry keeps how long it is calm: such
	// that the longest fits into 32 bits.
	unit uint8
}

func newWindows(c Config) windows {
	share := valueOr(c.RefreshAhead, 0, defaultRefreshAhead)
	if share == NoRefreshAhead {
		share = 1
	}
	w := windows{
		ahead:      int64(c.Fresh),
		fresh:      int64(c.Fresh),
		revalidate: int64(c.Fresh + c.StaleWhileRevalidate),
		ifError:    int64(c.Fresh + c.StaleIfError),
		negative:   int64(c.NegativeFor),
		jitter:     max(valueOr(c.Jitter, 0, defaultJitter), 0),
	}
	if share < 1 {
		w.ahead = max(int64(share*float64(c.Fresh)), 1)
	}
	w.unit = uint8(max(bits.Len64(uint64(w.ahead))-32, 0))
	return w
}

// A life is when an entry was made and how it has fared since. An entry is calm for as long as a
// Get has nothing to do but to return its value.
type life struct {
	at   atomic.Int64         // changed only when the clock jumps
	note atomic.Pointer[note] // nil at first
	calm uint32               // how long, in units
	use  use                  // see there
}

// A note tells how the loads went that were to bring an entry anew, or that there is nothing. It
// does not change.
type note struct {
	next     int64 // not before this time another is begun; running while one is under way in the background
	failures int   // in a row
	err      error // of the last one; of an entry that remembers that there is nothing, what to return
	final    bool  // an error that StaleIf declined: the entry must not be returned as stale
	negative int64 // for how long there is nothing; 0 if there is a value
}

// running is later than any time.
const running int64 = 1<<63 - 1

// shorten returns a length as jitter shortens it, with a random number in [0, 1).
func (w *windows) shorten(length int64, random float64) int64 {
	return length - int64(w.jitter*random*float64(length))
}

// begin begins the life of a value.
func (w *windows) begin(l *life, now int64, random float64) {
	l.at.Store(now)
	l.calm = uint32(w.shorten(w.ahead, random) >> w.unit)
}

// beginNegative begins the life of an entry that remembers that there is nothing. It is never calm.
func (w *windows) beginNegative(l *life, now int64, random float64, err error) {
	l.at.Store(now)
	l.note.Store(&note{next: running, err: err, negative: max(w.shorten(w.negative, random), 1)})
}

// calmAge returns the age of an entry whose value can be returned without further ado. A time before the
// entry's own, by a goroutine that read the clock a moment ago or by another clock, is not calm.
func (w *windows) calmAge(l *life, now int64) (age int64, calm bool) {
	age = now - l.at.Load()
	return age, uint64(age)>>w.unit < uint64(l.calm)
}

// jump is by how much an entry must be younger than possible before the clock is known to have
// jumped, as at the border of a synctest bubble. A goroutine that read the clock may be a little late.
const jump = int64(time.Minute)

// An assessment is what an entry is good for at one moment.
type assessment struct {
	window    window
	age       time.Duration
	note      *note // may be nil
	hasFailed bool  // to be loaded anew, of late
}

// why returns the error of the last load of the entry, or nil.
func (a assessment) why() error {
	if a.note == nil {
		return nil
	}
	return a.note.err
}

// isFinal reports whether the entry must not be returned as stale.
func (a assessment) isFinal() bool { return a.note != nil && a.note.final }

func (w *windows) assess(l *life, now int64) assessment {
	at, n := l.at.Load(), l.note.Load()
	if now < at-jump {
		// All windows begin afresh.
		l.at.CompareAndSwap(at, now)
		if n != nil && n.negative == 0 {
			l.note.CompareAndSwap(n, nil)
			n = nil
		}
		at = now
	}
	age := max(now-at, 0)
	return assessment{window: w.at(l, age, n), age: time.Duration(age), note: n, hasFailed: w.hasFailed(n, now)}
}

// hasFailed reports whether it is known that an entry cannot be loaded anew: since less than Fresh, as all that
// the cache knows, from when another attempt was due.
func (w *windows) hasFailed(n *note, now int64) bool {
	return n != nil && n.err != nil && now-n.next < w.fresh
}

// at returns the window of an age. All windows of an entry are shortened by the same factor, which its
// calm tells.
func (w *windows) at(l *life, age int64, n *note) window {
	if n != nil && n.negative != 0 {
		if age < n.negative {
			return negative
		}
		return dead
	}
	calm := int64(l.calm) << w.unit
	if age < calm {
		return fresh
	}
	factor := float64(calm) / float64(w.ahead)
	until := func(end int64) bool { return float64(age) < factor*float64(end) }
	switch {
	case until(w.fresh):
		return ahead
	case until(w.revalidate):
		return revalidate
	case until(w.ifError):
		return ifError
	}
	return dead
}

// backOff is how long after its first failure an entry is not loaded anew: for a blip to pass. It
// doubles with each further one, to Fresh, and is shortened at random by up to a half.
const backOff = 100 * time.Millisecond

// fail notes that a load of the entry has failed once more. It requires the shard's lock held.
func (w *windows) fail(l *life, now int64, x finding) {
	before := l.note.Load()
	if before == nil {
		before = &note{}
	}
	if before.negative != 0 {
		return
	}
	n := &note{failures: before.failures + 1, err: x.err, final: before.final || x.final}
	most := min(int64(backOff)<<min(before.failures, 32), w.fresh)
	n.next = now + max(most-int64(x.backOff*float64(most)/2), 1)
	l.note.Store(n)
}

// hold notes that until next no load of the entry is to be begun in the background, because of err or, if that is nil, because
// one is. It requires the shard's lock held.
func (l *life) hold(next int64, err error) {
	n := note{next: next, err: err}
	if before := l.note.Load(); before != nil {
		n.failures, n.final = before.failures, before.final
		if err == nil {
			n.err = before.err
		}
	}
	l.note.Store(&n)
}

// isDead reports whether an entry is past all windows.
func (w *windows) isDead(l *life, now int64) bool {
	_, calm := w.calmAge(l, now)
	return !calm && w.assess(l, now).window == dead
}
