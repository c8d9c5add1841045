package breaker

import (
	"slices"
	"sync"
	"time"

	"github.com/steady-go/steady"
)

// A trial is the probes of one half-open phase. At most want of them are admitted
// and not ignored. One that outlives its lease counts as failed: it hangs, and a
// probe that never returns must not keep the breaker half-open. Should it end while
// the trial is still on, its end counts in place of that.
type trial struct {
	want  int64
	lease int64
	ratio float64 // of failed probes that opens the breaker again

	mu        sync.Mutex
	lastID    uint64   // guarded by mu
	running   []probe  // guarded by mu
	overdue   []uint64 // probes that outlived their lease; guarded by mu
	successes int64    // guarded by mu
	failures  int64    // guarded by mu
	lastCall  int64    // when a probe last began or ended; guarded by mu
}

type probe struct {
	id    uint64
	began int64
}

func newTrial(want int, lease time.Duration, ratio float64) *trial {
	return &trial{want: int64(want), lease: int64(lease), ratio: ratio}
}

// A verdict is what a trial has come to.
type verdict int

const (
	undecided verdict = iota
	passed
	failed
)

// begin hands out a lease. It returns 0 when all places are taken, or when leases
// that ended have brought about a verdict.
func (t *trial) begin(now int64) (id uint64, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if v := t.verdict(); v != undecided || !t.free() {
		return 0, v
	}
	t.lastCall = now
	t.lastID++
	t.running = append(t.running, probe{t.lastID, now})
	return t.lastID, undecided
}

// end books the end of a probe. An ignored one gives its place back and changes no
// verdict.
func (t *trial) end(now int64, id uint64, outcome steady.Outcome) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastCall = now
	t.running = slices.DeleteFunc(t.running, func(p probe) bool { return p.id == id })
	t.overdue = slices.DeleteFunc(t.overdue, func(late uint64) bool { return late == id })
	switch outcome {
	case steady.Success:
		t.successes++
	case steady.Failure:
		t.failures++
	default:
		return undecided
	}
	t.expire(now)
	return t.verdict()
}

// worthACall reports whether a call would be admitted, or bring about a verdict.
func (t *trial) worthACall(now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return t.free() || t.verdict() != undecided
}

// underWay returns how many probes hold a lease.
func (t *trial) underWay(now int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return len(t.running)
}

// called returns when a probe last began or ended, or 0.
func (t *trial) called() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastCall
}

// free requires mu held.
func (t *trial) free() bool {
	return int64(len(t.running)+len(t.overdue))+t.successes+t.failures < t.want
}

// expire ends the leases that are over. It requires mu held.
func (t *trial) expire(now int64) {
	t.running = slices.DeleteFunc(t.running, func(p probe) bool {
		over := now-p.began >= t.lease || now < p.began-int64(lateBy)
		if over {
			t.overdue = append(t.overdue, p.id)
		}
		return over
	})
}

// verdict is failed as soon as ratio of the probes are, and passed as soon as that
// can no longer happen. It requires mu held.
func (t *trial) verdict() verdict {
	worst := t.want - t.successes // failures if all that is still to come fails
	switch {
	case share(t.failures+int64(len(t.overdue)), t.want) >= t.ratio:
		return failed
	case share(worst, t.want) < t.ratio:
		return passed
	}
	return undecided
}
