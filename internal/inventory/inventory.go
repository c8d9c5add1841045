// Package inventory keeps account of the policies that a hook can look into.
package inventory

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
)

// An Inventory is policies that a hook has heard of or was given. Its zero value is empty.
// It may be used by several goroutines at once. It holds no lock while it looks into a
// policy.
type Inventory struct {
	mu         sync.Mutex
	heard      []steady.Inspector // guarded by mu
	registered []steady.Inspector // guarded by mu
	pruneAt    int                // how many may have been heard of before the collected among them are dropped; guarded by mu
}

// fewest is how many policies it takes to look for collected ones among them.
const fewest = 64

// Heard adds the policy of an event of [steady.KindNew], which it does not keep from being
// collected. It looks into none: this is called while a policy is being made, perhaps under a
// lock that another wants when it is looked into.
func (v *Inventory) Heard(of steady.Inspector) {
	if check.IsNil(of) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard = append(v.heard, of)
	if len(v.heard) > max(v.pruneAt, fewest) {
		v.forget()
	}
}

// forget drops what was heard of and has been collected. It requires mu held.
func (v *Inventory) forget() {
	v.heard = slices.DeleteFunc(v.heard, func(i steady.Inspector) bool {
		mortal, ok := i.(interface{ Gone() bool })
		return ok && mortal.Gone()
	})
	v.pruneAt = 2 * len(v.heard)
}

// Register adds policies for good, each of which must be a [steady.Inspector]. Its error
// names, for the caller, which are not; the others are added.
func (v *Inventory) Register(caller string, policies []any) error {
	var faults []error
	for n, p := range policies {
		i, ok := p.(steady.Inspector)
		if !ok || check.IsNil(p) {
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
// forgets those that have been collected. A policy that panics when it is looked into is
// left out, and named in the error.
func (v *Inventory) Statuses() ([]steady.Status, error) {
	v.mu.Lock()
	v.forget()
	sources := slices.Concat(v.heard, v.registered)
	v.mu.Unlock()

	var all []steady.Status
	var faults []error
	seen := make(map[uint64]bool)
	for _, source := range sources {
		statuses, err := inspect(source)
		if err != nil {
			faults = append(faults, err)
		}
		own := make(map[uint64]bool, 1)
		for _, s := range statuses {
			// The members of a group share its ID, and come from one source.
			if s.ID == 0 || !seen[s.ID] || own[s.ID] {
				all = append(all, s)
				seen[s.ID], own[s.ID] = true, true
			}
		}
	}
	return all, errors.Join(faults...)
}

// inspect looks into a policy, which may be anybody's.
func inspect(i steady.Inspector) (s []steady.Status, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a policy of type %T panicked when it was looked into: %v", i, p)
		}
	}()
	return i.Inspect(), nil
}
