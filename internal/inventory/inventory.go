// Package inventory keeps account of the policies that a hook can look into.
package inventory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/steady-go/steady"
)

// An Inventory is policies that a hook has heard of or was given. Its zero value is empty.
// It may be used by several goroutines at once. It holds no lock while it looks into a
// policy.
type Inventory struct {
	mu         sync.Mutex
	heard      []*source          // guarded by mu
	registered []steady.Inspector // guarded by mu
	pruneAt    int                // how many may have been heard of before the collected among them are dropped; guarded by mu
}

// A source is a policy that was heard of.
type source struct{ steady.Inspector }

// fewest is how many policies it takes to look for collected ones among them.
const fewest = 64

// Heard adds the policy of an event of [steady.KindNew], which it does not keep from being
// collected.
func (v *Inventory) Heard(of steady.Inspector) {
	if of == nil {
		return
	}
	v.mu.Lock()
	v.heard = append(v.heard, &source{of})
	prune := len(v.heard) > max(v.pruneAt, fewest)
	v.mu.Unlock()
	if prune {
		v.Statuses()
	}
}

// Register adds policies for good, each of which must be a [steady.Inspector]. Its error
// names, for the caller, which are not; the others are added.
func (v *Inventory) Register(caller string, policies []any) error {
	var faults []error
	for n, p := range policies {
		i, ok := p.(steady.Inspector)
		if !ok || reflect.ValueOf(p).Kind() == reflect.Pointer && reflect.ValueOf(p).IsNil() {
			faults = append(faults, fmt.Errorf("%s: policy %d of %d must be a steady.Inspector, got %#v of type %T", caller, n+1, len(policies), p, p))
			continue
		}
		v.mu.Lock()
		v.registered = append(v.registered, i)
		v.mu.Unlock()
	}
	return errors.Join(faults...)
}

// Statuses returns the status of every policy, once, in the order in which they came, and
// forgets those that have been collected.
func (v *Inventory) Statuses() []steady.Status {
	v.mu.Lock()
	heard, registered := slices.Clone(v.heard), slices.Clone(v.registered)
	v.mu.Unlock()

	var all []steady.Status
	seen := make(map[uint64]bool)
	add := func(statuses []steady.Status) {
		known := make(map[uint64]bool, 1)
		for _, s := range statuses {
			// The members of a group share its ID, and come from one source.
			if s.ID == 0 || !seen[s.ID] || known[s.ID] {
				all = append(all, s)
				seen[s.ID], known[s.ID] = true, true
			}
		}
	}
	gone := make(map[*source]bool)
	for _, h := range heard {
		statuses := h.Inspect()
		gone[h] = len(statuses) == 0
		add(statuses)
	}
	for _, i := range registered {
		add(i.Inspect())
	}
	v.forget(gone)
	return all
}

// forget drops what was heard of and has been collected.
func (v *Inventory) forget(gone map[*source]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard = slices.DeleteFunc(v.heard, func(h *source) bool { return gone[h] })
	v.pruneAt = 2 * len(v.heard)
}
