package breaker

import (
	"slices"
	"sync"
	"time"

	"github.com/steady-go/steady"
)

// A trial is the probes of one half-open phase. At most want of them are under
// way or have ended with a verdict at any time, except that a probe that outlives
// its lease gives up its place: so one that never returns cannot keep the breaker
// half-open. If it ends while the trial is still on, it counts after all.
type trial struct {
	want  int64
	lease int64

	mu        sync.Mutex
	lastID    uint64  // guarded by mu
	running   []probe // guarded by mu
	successes int64   // guarded by mu
	failures  int64   // guarded by mu
}

type probe struct {
	id    uint64
	began int64
}

func newTrial(want int, lease time.Duration) *trial {
	return &trial{want: int64(want), lease: int64(lease)}
}

// begin hands out a lease, or reports false when all places are taken.
func (t *trial) begin(now int64) (id uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if !t.free() {
		return 0, false
	}
	t.lastID++
	t.running = append(t.running, probe{t.lastID, now})
	return t.lastID, true
}

// hasPlace reports whether begin would succeed.
func (t *trial) hasPlace(now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return t.free()
}

// underWay returns how many probes hold a lease.
func (t *trial) underWay(now int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return len(t.running)
}

// free requires mu held.
func (t *trial) free() bool { return int64(len(t.running))+t.successes+t.failures < t.want }

// expire takes the places of the probes whose lease has ended. It requires mu
// held.
func (t *trial) expire(now int64) {
	t.running = slices.DeleteFunc(t.running, func(p probe) bool {
		return now-p.began >= t.lease || now < p.began
	})
}

// A verdict is what a trial has come to.
type verdict int

const (
	undecided verdict = iota
	passed
	failed
)

// end books the end of a probe and returns the verdict: failed as soon as ratio
// of the probes have, passed as soon as that can no longer happen.
func (t *trial) end(id uint64, outcome steady.Outcome, ratio float64) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = slices.DeleteFunc(t.running, func(p probe) bool { return p.id == id })
	switch outcome {
	case steady.Success:
		t.successes++
	case steady.Failure:
		t.failures++
	}
	worst := t.want - t.successes // failures if all that is still to come fails
	switch {
	case share(t.failures, t.want) >= ratio:
		return failed
	case share(worst, t.want) < ratio:
		return passed
	}
	return undecided
}
