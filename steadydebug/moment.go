package steadydebug

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const maxMoments = 100

// A Moment is something that happened once and is worth knowing for a while. Which fields
// beside Time and Kind are set depends on the kind.
type Moment struct {
	// Time is when it happened. What happens again is listed once, with the last time: a
	// change of state when nothing else happened between, anything else whenever.
	Time  time.Time `json:"time"`
	Times int       `json:"times"` // how often it happened, at least 1

	// Kind is "state" for a change of state, "abandoned" for a call that was left running,
	// "panic" for such a call that then panicked, "load panic" for a load of a cache that did, and "switch" for
	// a switch that was thrown.
	Kind string `json:"kind"`

	Policy  string `json:"policy"`
	Name    string `json:"name"`
	Key     string `json:"key,omitempty"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	Reason  string `json:"reason,omitempty"`
	TraceID string `json:"trace_id,omitempty"`

	// Switch is the switch that was thrown, and By the address from which.
	Switch string `json:"switch,omitempty"`
	By     string `json:"by,omitempty"`

	seq uint64 // of a change of state, as in its event
}

// same reports whether m tells the same as other did, at another time. Calls that were
// abandoned are told together for all members of a group.
func (m Moment) same(other Moment) bool {
	other.Time, other.Times, other.TraceID, other.seq = m.Time, m.Times, m.TraceID, m.seq
	if m.Kind == "abandoned" {
		other.Key = m.Key
	}
	return m == other
}

// Moments are the last that there were. The zero value is empty.
type moments struct {
	mu   sync.Mutex
	last []Moment // the newest at the end; guarded by mu
}

// add adds m, whose strings it cuts and copies.
func (v *moments) add(m Moment) {
	for _, s := range []*string{&m.Policy, &m.Name, &m.Key, &m.From, &m.To, &m.Reason, &m.TraceID, &m.Switch, &m.By} {
		*s = strings.Clone(clip(*s))
	}
	m.Times = 1
	v.mu.Lock()
	defer v.mu.Unlock()
	// A hundred calls that are abandoned in a second must not push out why.
	if n := slices.IndexFunc(v.last, m.same); n >= 0 && (m.Kind != "state" || n == len(v.last)-1) {
		m.Times += v.last[n].Times
		v.last = slices.Delete(v.last, n, n+1)
	}
	if len(v.last) == maxMoments {
		v.last = slices.Delete(v.last, 0, 1)
	}
	v.last = slices.Insert(v.last, v.place(m), m)
}

// place returns where m belongs: at the end, but for a change of state that came after a later
// one of the same policy. It requires mu held.
func (v *moments) place(m Moment) int {
	at := len(v.last)
	if m.Kind != "state" {
		return at
	}
	for n, other := range slices.Backward(v.last) {
		if other.Kind == m.Kind && other.Policy == m.Policy && other.Name == m.Name && other.Key == m.Key {
			if other.seq <= m.seq {
				break
			}
			at = n
		}
	}
	return at
}

// newest returns all that are kept, the newest first.
func (v *moments) newest() []Moment {
	v.mu.Lock()
	all := append([]Moment{}, v.last...)
	v.mu.Unlock()
	slices.Reverse(all)
	return all
}
