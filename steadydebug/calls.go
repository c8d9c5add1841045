package steadydebug

// other is the reason of what was refused for reasons for which there was no room.
const other = "other"

// callsBetween returns what became of calls until now, and how fast since the moment of base,
// which was so many seconds ago.
func callsBetween(base, now figures, seconds float64) *Calls {
	count := func(before, after uint64) Count {
		c := Count{Total: after}
		if seconds >= tooShort.Seconds() {
			c.PerSecond = float64(after-before) / seconds
		}
		return c
	}
	byReason := func(before, after tell) (all Count, each []Reason) {
		for n, known := range after.known {
			var earlier uint64
			if n < len(before.n) {
				earlier = before.n[n]
			}
			each = append(each, Reason{known.text, count(earlier, after.n[n])})
		}
		if after.other > 0 {
			each = append(each, Reason{other, count(before.other, after.other)})
		}
		return count(before.total(), after.total()), each
	}
	c := &Calls{
		Seconds:   seconds,
		Success:   count(base.success, now.success),
		Failure:   count(base.failure, now.failure),
		Ignored:   count(base.ignored, now.ignored),
		Retries:   count(base.retries, now.retries),
		Abandoned: count(base.abandoned, now.abandoned),
		Fruitless: count(base.fruitless, now.fruitless),
	}
	c.Rejected, c.RejectedFor = byReason(base.rejected, now.rejected)
	c.DryRun, c.DryRunFor = byReason(base.dryRun, now.dryRun)
	c.Injected, c.InjectedFor = byReason(base.injected, now.injected)
	_, c.SuccessFrom = byReason(base.source, now.source)
	c.Loads, c.LoadsFor = byReason(base.loads, now.loads)
	c.Evicted, c.EvictedFor = byReason(base.evicted, now.evicted)
	failed, succeeded := now.failure-base.failure, now.success-base.success
	if failed+succeeded > 0 {
		share := float64(failed) / float64(failed+succeeded)
		c.FailureShare = &share
	}
	if q, ok := quantiles(base.durations, now.durations, 0.5, 0.9, 0.99); ok {
		c.Latency = &Latency{P50: q[0], P90: q[1], P99: q[2]}
	}
	return c
}
