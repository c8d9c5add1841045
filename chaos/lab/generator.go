package lab

import "time"

// load makes the requests when they are due.
func (r *run) load() {
	defer close(r.loaded)
	if r.e.Load.live != nil {
		return
	}
	timer := time.NewTimer(forever)
	defer timer.Stop()
	next := r.e.Load.arrivals(r.e.Seed, r.e.plan())
	for n, last := uint64(0), time.Duration(-1); ; n++ {
		at, ok := next.pull()
		if !ok {
			return
		}
		for _, a := range r.arms {
			last = max(at+jitter(r.e.Seed, n), last+1)
			// An abort brings the end forward, meanwhile too.
			if at >= r.end(inRecovery) || !r.pause(timer, last) || at >= r.end(inRecovery) {
				return
			}
			a.start(at, last, r.phase(at))
		}
		next.end(r.end(inFault))
	}
}

// jitter returns by how many nanoseconds an arrival is moved. It is less than a
// microsecond, and differs among 499 arrivals in a row. It is odd: the request of the
// control comes a nanosecond after that of the system.
func jitter(seed, n uint64) time.Duration {
	return time.Duration(1 + 2*((mix(seed)%499+n*193)%499))
}

// pause waits until t. It reports false if the load has been stopped.
func (r *run) pause(timer *time.Timer, t time.Duration) bool {
	if d := t - r.now(); d > 0 {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-r.stop:
		}
	}
	select {
	case <-r.stop:
		return false
	default:
		return true
	}
}
