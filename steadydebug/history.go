package steadydebug

import (
	"sync"
	"time"
)

const (
	// span is how long before a look its rates begin, if somebody looked then.
	span = 10 * time.Second

	// apart is the least time between two looks that are remembered.
	apart = time.Second

	// tooShort is a time of which no rate is taken: one call in a millisecond is not a
	// thousand a second.
	tooShort = apart / 2

	// Of maxLooks only the last maxDetailed have all figures: enough for span, when
	// somebody looks each second. The others draw a line of a minute.
	maxLooks    = 61
	maxDetailed = 12
)

// Figures are what a tally held at one moment.
type figures struct {
	success, failure, ignored  uint64
	retries, abandoned         uint64
	rejected, dryRun, injected tell
	durations                  *[buckets]uint64 // nil before the first call

	source, loads, evicted tell
	fruitless              uint64
}

func (t *tally) figures() figures {
	f := figures{
		success: t.success.Load(), failure: t.failure.Load(), ignored: t.ignored.Load(),
		retries: t.retries.Load(), abandoned: t.abandoned.Load(),
		rejected: t.rejected.tell(), dryRun: t.dryRun.tell(), injected: t.injected.tell(),
		source: t.source.tell(), loads: t.loads.tell(), evicted: t.evicted.tell(), fruitless: t.fruitless.Load(),
	}
	if f.success+f.failure+f.ignored > 0 {
		f.durations = t.durations.counts()
	}
	return f
}

// calls are all that ended or were refused.
func (f figures) calls() uint64 { return f.success + f.failure + f.ignored + f.rejected.total() }

// A look is what all tallies held at one moment. What is not in it was 0.
type look struct {
	at       time.Time
	detailed map[identity]figures // nil once the look is old
	calls    map[identity]uint64
}

// History is what earlier looks saw.
type history struct {
	start time.Time // never changed

	mu    sync.Mutex
	looks []look // at least one, the newest at the end; guarded by mu
}

// begin makes now, at which nothing was counted, the first look.
func (h *history) begin(now time.Time) {
	h.start = now
	h.looks = []look{{at: now, detailed: map[identity]figures{}}}
}

// since looks at v now. It returns that look, the earlier one that rates are to be
// counted from, and what is remembered of the last minute, the oldest first.
func (h *history) since(v *tallies) (now, base look, minute []look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// With the lock held, so that no look that is remembered is newer than this one.
	now = lookAt(v)
	if last := h.looks[len(h.looks)-1]; now.at.Before(last.at) {
		h.looks = []look{now} // a clock that jumps, as into a synctest bubble: begin afresh
	}
	for n, earlier := range h.looks {
		ago := now.at.Sub(earlier.at)
		nearer := off(ago) <= off(now.at.Sub(base.at)) && ago >= tooShort
		if earlier.detailed != nil && (base.detailed == nil || nearer) {
			base = earlier
		}
		if ago <= time.Minute && minute == nil {
			minute = append(minute, h.looks[n:]...)
		}
	}
	if last := h.looks[len(h.looks)-1]; now.at.Sub(last.at) >= apart {
		h.remember(now)
	}
	return now, base, append(minute, now)
}

// off is how far a look that was so long ago is from where rates should begin.
func off(ago time.Duration) time.Duration { return (ago - span).Abs() }

// remember requires mu held.
func (h *history) remember(l look) {
	if len(h.looks) == maxLooks {
		h.looks = append([]look{}, h.looks[1:]...)
	}
	h.looks = append(h.looks, l)
	if old := len(h.looks) - 1 - maxDetailed; old >= 0 {
		h.looks[old].detailed = nil
	}
}

func lookAt(v *tallies) look {
	l := look{at: time.Now(), detailed: map[identity]figures{}, calls: map[identity]uint64{}}
	for id, t := range v.all() {
		f := t.figures()
		l.detailed[id], l.calls[id] = f, f.calls()
	}
	return l
}
