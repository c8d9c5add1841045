package chaos

import (
	"bytes"
	"container/list"
	"math"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// forever is longer than any plan.
const forever time.Duration = math.MaxInt64

// waits are those who wait in a plan now: nobody but them needs to be told when a plan
// is ended early, and there are none left when a synctest bubble ends.
var waits struct {
	mu  sync.Mutex
	all list.List // of *waiting, those who began first in front; guarded by mu
}

// A waiting is a wait.
type waiting struct {
	plan     *plan
	bubble   uint64
	released chan struct{}
}

// release releases those who wait and for whom it holds, and whom this goroutine can
// reach, in the order in which they began: so a run in virtual time repeats.
func release(who func(*waiting) bool) {
	here := bubble()
	waits.mu.Lock()
	defer waits.mu.Unlock()
	for e := waits.all.Front(); e != nil; {
		this := e
		e = e.Next()
		if w := this.Value.(*waiting); who(w) && (w.bubble == 0 || w.bubble == here && here != unknown) {
			waits.all.Remove(this)
			close(w.released)
		}
	}
}

// An ending tells how a wait ended.
type ending uint8

const (
	passed   ending = iota // the time has passed
	released               // the plan is over
	first                  // by the first of two channels
	second                 // by the second
)

// wait waits for d, but not beyond the end of the plan, nor for longer than until a or b
// is closed; either may be nil. When several happen at once any of them may be returned.
func (p *plan) wait(d time.Duration, a, b <-chan struct{}) ending {
	w := &waiting{plan: p, bubble: bubble(), released: make(chan struct{})}
	waits.mu.Lock()
	if p.over() != "" {
		waits.mu.Unlock()
		return released
	}
	place := waits.all.PushBack(w)
	waits.mu.Unlock()
	defer func() {
		waits.mu.Lock()
		waits.all.Remove(place) // unless that was done
		waits.mu.Unlock()
	}()
	how := passed
	if left := p.lasts - p.elapsed(); left <= d {
		d, how = left, released
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return how
	case <-w.released:
		return released
	case <-a:
		return first
	case <-b:
		return second
	}
}

// unknown is the bubble of who is in one that cannot be told.
const unknown = math.MaxUint64

// bubble tells the synctest bubble in which it is called from others; outside it returns 0. To
// close a channel of another bubble is fatal to the process, and there is no other way to know.
func bubble() uint64 {
	if now := time.Now(); now != now.Round(0) {
		return 0 // times in bubbles have no monotonic reading
	}
	var buf [128]byte
	header, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte("\n"))
	_, id, ok := bytes.Cut(header, []byte("synctest bubble "))
	digits := bytes.IndexFunc(id, func(r rune) bool { return r < '0' || r > '9' })
	if ok && digits > 0 {
		if n, err := strconv.ParseUint(string(id[:digits]), 10, 64); err == nil {
			return n
		}
	}
	return unknown
}
