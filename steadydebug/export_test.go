package steadydebug

// Held returns how much a page keeps: tallies, the most reasons that one of them has, moments,
// looks, and looks with all figures.
func Held(p *Page) (held [5]int) {
	held[0] = len(p.tallies.all())
	for _, t := range p.tallies.all() {
		held[1] = max(held[1], len(t.rejected.all()), len(t.dryRun.all()), len(t.injected.all()),
			len(t.source.all()), len(t.loads.all()), len(t.evicted.all()))
	}
	held[2] = len(p.moments.newest())
	p.history.mu.Lock()
	defer p.history.mu.Unlock()
	held[3] = len(p.history.looks)
	for _, l := range p.history.looks {
		if l.detailed != nil {
			held[4]++
		}
	}
	return held
}
