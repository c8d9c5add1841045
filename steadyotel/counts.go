package steadyotel

import (
	"sync"

	"github.com/steady-go/steady"
)

// Counts are the sums of what policies count themselves, such as the panics of their hooks.
// They never fall: what a policy has counted stays when it has been collected. The zero value
// is ready. Several readers may collect at once; each does so between begin and end.
type counts struct {
	mu         sync.Mutex // held from begin to end
	last, next map[counted]float64
	sums       map[string]*ordered[*series, float64] // by level
}

// A counted is a count of one policy, or of a member of a group.
type counted struct {
	id                uint64
	policy, name, key string
	level             string
	nth               int // of those that are otherwise the same: a group, and its member ""
}

func (c *counts) begin() {
	c.mu.Lock()
	c.next = make(map[counted]float64)
	if c.sums == nil {
		c.sums = make(map[string]*ordered[*series, float64])
	}
}

func (c *counts) end() {
	c.last = c.next
	c.mu.Unlock()
}

// saw adds what a policy has counted since it was seen last.
func (c *counts) saw(s steady.Status, level string, of *series, value float64) {
	k := counted{id: s.ID, policy: s.Policy, name: s.Name, key: s.Key, level: level}
	for _, again := c.next[k]; again; _, again = c.next[k] {
		k.nth++
	}
	c.next[k] = value
	c.of(level).add(of, max(0, value-c.last[k]))
}

// of returns the sums of a level.
func (c *counts) of(level string) *ordered[*series, float64] {
	if c.sums[level] == nil {
		c.sums[level] = &ordered[*series, float64]{}
	}
	return c.sums[level]
}

// forget drops the sums of all series but those that live.
func (c *counts) forget(live map[*series]bool) {
	for _, sums := range c.sums {
		sums.keep(live)
	}
}
