package steadyotel

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/steady-go/steady"
)

// An identity is of which policies a series is.
type identity struct{ policy, name, key string }

// A detail is what tells apart the series of one identity. Which fields are set depends on
// the kind of event.
type detail struct {
	kind      steady.Kind
	outcome   steady.Outcome
	errorType string
	reason    string
	source    string
	result    string
	from, to  string
}

const (
	maxSeries  = 300
	maxDetails = 100 // of one kind of event

	// other is the value of attributes in the series of what is beyond these bounds, and
	// the error.type of errors that nobody has a name for, as the semantic conventions of
	// OpenTelemetry have it.
	other = "_OTHER"
)

// Attributes are made once for each series, as the options that the instruments take.
type attributes struct {
	record  []metric.RecordOption
	add     []metric.AddOption
	observe []metric.ObserveOption
}

func newAttributes(kvs []attribute.KeyValue) attributes {
	set := metric.WithAttributeSet(attribute.NewSet(kvs...))
	return attributes{
		record: []metric.RecordOption{set}, add: []metric.AddOption{set}, observe: []metric.ObserveOption{set},
	}
}

// A series is what is told of the policies of one identity.
type series struct {
	id      identity
	plain   attributes // with no detail
	success attributes // of calls that succeeded, which most do
	fresh   attributes // of answers that a cache had at hand, which most are

	mu      sync.Mutex                             // held to write details
	details atomic.Pointer[map[detail]*attributes] // replaced, never changed
}

func newSeries(id identity) *series {
	s := &series{id: id}
	s.plain = newAttributes(s.base())
	s.success = *s.attributes(detail{kind: steady.KindDone, outcome: steady.Success})
	s.fresh = *s.attributes(detail{kind: kindAnswer, source: fresh})
	s.details.Store(&map[detail]*attributes{})
	return s
}

func (s *series) base() []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String(attrPolicy, s.id.policy), attribute.String(attrName, s.id.name)}
	if s.id.key != "" {
		kvs = append(kvs, attribute.String(attrKey, s.id.key))
	}
	return kvs
}

// attributes makes those of a detail.
func (s *series) attributes(d detail) *attributes {
	kvs := s.base()
	str := func(key, value string) {
		if value != "" {
			kvs = append(kvs, attribute.String(key, value))
		}
	}
	reason, to := attrReason, attrTo
	if d.kind == steady.KindInjected {
		reason, to = attrFault, attrEffect
	}
	if d.outcome != 0 {
		str(attrOutcome, d.outcome.String())
	}
	str(attrErrorType, d.errorType)
	str(reason, d.reason)
	str(attrSource, d.source)
	str(attrResult, d.result)
	str(attrFrom, d.from)
	if d.kind == kindLevel {
		to = attrState
	}
	str(to, d.to)
	a := newAttributes(kvs)
	return &a
}

// Kinds of details that are those of no event.
const (
	kindLevel  steady.Kind = 0   // of states, which are asked for
	kindAnswer steady.Kind = 255 // of where the answers of a cache came from
	kindResult steady.Kind = 254 // of what became of requests to a guard
)

// series returns the series of the policies of a kind and name.
func (h *Hook) series(policy, name, key string) *series {
	id := identity{policy: policy, name: name}
	if key != "" && h.cfg.Key != nil {
		id.key = h.cfg.Key(key)
	}
	if s := (*h.known.Load())[id]; s != nil {
		return s
	}
	if h.full.Load() {
		return h.other
	}
	return h.learn(id)
}

// learn returns the series of an identity that seems to be new.
func (h *Hook) learn(id identity) *series {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := *h.known.Load()
	if s := known[id]; s != nil {
		return s
	}
	if len(known) >= maxSeries {
		return h.other
	}
	larger := maps.Clone(known)
	s := newSeries(id)
	larger[id] = s
	h.know(larger)
	return s
}

// know replaces the table of series. It requires mu held.
func (h *Hook) know(all map[identity]*series) {
	h.known.Store(&all)
	h.full.Store(len(all) >= maxSeries)
}

// makeRoom forgets, if the table is full, the series of which no policy lives.
func (h *Hook) makeRoom(live map[*series]bool) {
	if !h.full.Load() {
		return
	}
	h.counts.forget(live)
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := maps.Clone(*h.known.Load())
	maps.DeleteFunc(kept, func(_ identity, s *series) bool { return !live[s] })
	h.know(kept)
}

// with returns the attributes of s with a detail.
func (s *series) with(d detail) *attributes {
	if a := (*s.details.Load())[d]; a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	details := *s.details.Load()
	if a := details[d]; a != nil {
		return a
	}
	if of(d.kind, details) >= maxDetails {
		d = d.beyond()
		if a := details[d]; a != nil {
			return a
		}
	}
	larger := maps.Clone(details)
	a := s.attributes(d)
	larger[d] = a
	s.details.Store(&larger)
	return a
}

// of returns how many details are of a kind: many reasons must not take the place of states.
func of(kind steady.Kind, details map[detail]*attributes) int {
	n := 0
	for d := range details {
		if d.kind == kind {
			n++
		}
	}
	return n
}

// beyond returns d with what may have any number of values left out.
func (d detail) beyond() detail {
	for _, field := range []*string{&d.errorType, &d.reason, &d.source, &d.result, &d.from, &d.to} {
		if *field != "" {
			*field = other
		}
	}
	return d
}

// errorType is the rule of this package for the attribute error.type.
func errorType(err error) string {
	_, refused := steady.AsRejection(err)
	switch {
	case errors.Is(err, steady.ErrNoReturn):
		return "panic"
	case refused:
		return "rejected"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return other
}
