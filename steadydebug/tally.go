package steadydebug

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

const (
	maxTallies = 500
	maxReasons = 16
)

// An identity is of which policies a tally is. Its strings are clipped.
type identity struct{ policy, name string }

func identify(policy, name string) identity { return identity{clip(policy), clip(name)} }

// A tally counts what policies of one kind and name have done so far.
type tally struct {
	id                         identity
	success, failure, ignored  atomic.Uint64
	retries, abandoned         atomic.Uint64
	rejected, dryRun, injected reasons
	durations                  histogram

	// Of a cache.
	source, loads, evicted reasons // source: of its successes
	fruitless              atomic.Uint64
}

func (t *tally) done(o steady.Outcome, ran time.Duration, source string) {
	switch o {
	case steady.Success:
		t.success.Add(1)
		if source != "" {
			t.source.add(source)
		}
	case steady.Failure:
		t.failure.Add(1)
	default:
		t.ignored.Add(1)
	}
	t.durations.add(ran)
}

// Tallies are a table that is read without a lock. Its zero value is empty.
type tallies struct {
	mu     sync.Mutex                          // held to write known
	known  atomic.Pointer[map[identity]*tally] // replaced, never changed; nil before the first
	beyond atomic.Uint64                       // events of policies for which there was no room
}

// of returns the tally of a policy, or nil when there is no room for another.
func (v *tallies) of(policy, name string) *tally {
	id := identify(policy, name)
	known := v.known.Load()
	if known != nil {
		if t := (*known)[id]; t != nil {
			return t
		}
		if len(*known) >= maxTallies {
			v.beyond.Add(1)
			return nil
		}
	}
	return v.learn(id)
}

// learn returns the tally of a policy that seems to be new.
func (v *tallies) learn(id identity) *tally {
	v.mu.Lock()
	defer v.mu.Unlock()
	var known map[identity]*tally
	if k := v.known.Load(); k != nil {
		known = *k
	}
	if t := known[id]; t != nil {
		return t
	}
	if len(known) >= maxTallies {
		v.beyond.Add(1)
		return nil
	}
	larger := make(map[identity]*tally, len(known)+1)
	maps.Copy(larger, known)
	id = identity{strings.Clone(id.policy), strings.Clone(id.name)}
	t := &tally{id: id}
	larger[id] = t
	v.known.Store(&larger)
	return t
}

// all returns the tallies that there are. The map must not be changed.
func (v *tallies) all() map[identity]*tally {
	if known := v.known.Load(); known != nil {
		return *known
	}
	return nil
}

// Reasons are counts by a few words. A scan of so few is cheaper than a map. The zero value is empty.
type reasons struct {
	mu    sync.Mutex                // held to write known
	known atomic.Pointer[[]*reason] // replaced, only ever by a longer one with the same beginning; nil before the first
	other atomic.Uint64             // of reasons for which there was no room
}

type reason struct {
	text string // clipped
	n    atomic.Uint64
}

func (r *reasons) add(text string) {
	text = clip(text)
	known := r.all()
	if found := find(known, text); found != nil {
		found.n.Add(1)
	} else if len(known) >= maxReasons {
		r.other.Add(1)
	} else {
		r.learn(text).Add(1)
	}
}

func find(known []*reason, text string) *reason {
	for _, r := range known {
		if r.text == text {
			return r
		}
	}
	return nil
}

// learn returns the count of a reason that seems to be new.
func (r *reasons) learn(text string) *atomic.Uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.all()
	if found := find(known, text); found != nil {
		return &found.n
	}
	if len(known) >= maxReasons {
		return &r.other
	}
	added := &reason{text: strings.Clone(text)}
	longer := append(slices.Clip(known), added)
	r.known.Store(&longer)
	return &added.n
}

func (r *reasons) all() []*reason {
	if known := r.known.Load(); known != nil {
		return *known
	}
	return nil
}

// A tell is what reasons held at one moment.
type tell struct {
	known []*reason
	n     []uint64 // of each that is known; what came first stays first
	other uint64
}

func (r *reasons) tell() tell {
	t := tell{known: r.all(), other: r.other.Load()}
	for _, known := range t.known {
		t.n = append(t.n, known.n.Load())
	}
	return t
}

func (t tell) total() uint64 {
	sum := t.other
	for _, n := range t.n {
		sum += n
	}
	return sum
}
