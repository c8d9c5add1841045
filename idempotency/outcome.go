package idempotency

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A Codec turns results into bytes and back.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error // v is a pointer
}

// standardCodec stores a value by its MarshalBinary and UnmarshalBinary if it has both, and otherwise as JSON.
type standardCodec struct{}

func (standardCodec) Marshal(v any) ([]byte, error) {
	if m, ok := v.(encoding.BinaryMarshaler); ok {
		return m.MarshalBinary()
	}
	return json.Marshal(v)
}

func (standardCodec) Unmarshal(data []byte, v any) error {
	if u, ok := v.(encoding.BinaryUnmarshaler); ok {
		return u.UnmarshalBinary(data)
	}
	return json.Unmarshal(data, v)
}

// An outcome is encoded as its version, its kind and its payload.
const outcomeVersion = 1

// The kinds of outcomes.
const (
	kindValue         = 'v' // as the codec encodes it
	kindError         = 'e' // a storedError as JSON
	kindNotReplayable = 'x' // why, as text
)

// A storedError is a final error in an outcome.
type storedError struct {
	Text string   `json:"text"`
	Is   []string `json:"is,omitempty"` // names of Config.Errors
}

func encoded(kind byte, payload []byte) Outcome {
	return append(Outcome{outcomeVersion, kind}, payload...)
}

// notReplayable returns the outcome of a call that is done but has nothing to replay.
func notReplayable(why string) Outcome { return encoded(kindNotReplayable, []byte(why)) }

// encode returns the outcome of a call that has returned v and err, which is nil or final.
func (g *Guard) encode(v any, err error) Outcome {
	if err != nil {
		return g.encodeError(err)
	}
	payload, err := g.marshal(v)
	switch {
	case err != nil:
		return notReplayable(fmt.Sprintf("cannot be encoded: %v", err))
	case len(payload) > g.maxOutcome:
		return notReplayable(fmt.Sprintf("%d bytes, more than MaxOutcome of %d", len(payload), g.maxOutcome))
	}
	return encoded(kindValue, payload)
}

// marshal asks the codec, which is the user's. Its panic comes when the effect is there, and must not be a reason to make the call again.
func (g *Guard) marshal(v any) (payload []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return g.codec.Marshal(v)
}

func (g *Guard) encodeError(err error) Outcome {
	stored := storedError{Text: err.Error()}
	for name, sentinel := range g.errors {
		if errors.Is(err, sentinel) {
			stored.Is = append(stored.Is, name)
		}
	}
	slices.Sort(stored.Is)
	payload, _ := json.Marshal(stored) // of strings, which cannot fail
	if len(payload) > g.maxOutcome {
		return notReplayable(fmt.Sprintf("an error of %d bytes, more than MaxOutcome of %d", len(payload), g.maxOutcome))
	}
	return encoded(kindError, payload)
}

// decode puts the value of an outcome into v, a pointer, or returns its error.
func (g *Guard) decode(o Outcome, v any) error {
	if len(o) < 2 || o[0] != outcomeVersion {
		return &notReplayableError{why: "stored in a form that is not known"}
	}
	switch kind, payload := o[1], o[2:]; kind {
	case kindValue:
		if err := g.unmarshal(payload, v); err != nil {
			return &notReplayableError{why: "cannot be decoded: " + err.Error(), err: err}
		}
		return nil
	case kindError:
		var stored storedError
		if err := json.Unmarshal(payload, &stored); err != nil {
			return &notReplayableError{why: "an error that cannot be decoded: " + err.Error(), err: err}
		}
		replayed := &replayedError{text: stored.Text}
		for _, name := range stored.Is {
			if sentinel := g.errors[name]; sentinel != nil {
				replayed.is = append(replayed.is, sentinel)
			}
		}
		return replayed
	case kindNotReplayable:
		return &notReplayableError{why: string(payload)}
	}
	return &notReplayableError{why: "stored in a form that is not known"}
}

func (g *Guard) unmarshal(payload []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return g.codec.Unmarshal(payload, v)
}

// A replayedError is a final error that was stored.
type replayedError struct {
	text string
	is   []error
}

func (e *replayedError) Error() string   { return e.text }
func (e *replayedError) Unwrap() []error { return e.is }

// Permanent reports true, as for the error that was stored.
func (e *replayedError) Permanent() bool { return true }

// A notReplayableError is that of a call that is done but has nothing to replay.
type notReplayableError struct {
	why string
	err error
}

func (e *notReplayableError) Error() string        { return ErrNotReplayable.Error() + ": " + e.why }
func (e *notReplayableError) Unwrap() error        { return e.err }
func (e *notReplayableError) Is(target error) bool { return target == ErrNotReplayable }
func (e *notReplayableError) Permanent() bool      { return true }
