package idempotency

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/steady-go/steady"
)

// A Codec turns results into bytes and back. Its methods may be called by several goroutines at once. A result of type [Outcome] is stored as it is, without it.
type Codec interface {
	// Marshal returns the result that v points to as bytes.
	Marshal(v any) ([]byte, error)

	// Unmarshal sets the result that v points to. It must not keep data, nor change it.
	Unmarshal(data []byte, v any) error
}

// standardCodec is the default. It stores a result by its MarshalBinary and UnmarshalBinary if it, or what it points to, has both, and otherwise as JSON.
type standardCodec struct{}

// A binaryResult has both.
type binaryResult interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// binaryOf returns the binary result that v points to, if it is one. Of a result that is a pointer itself, it is what that points to, and nil if that is nothing.
func binaryOf(v any) (b binaryResult, isPointer, ok bool) {
	if b, ok = v.(binaryResult); ok {
		return b, false, true
	}
	p := reflect.ValueOf(v).Elem()
	if p.Kind() != reflect.Pointer || !p.Type().Implements(reflect.TypeFor[binaryResult]()) {
		return nil, false, false
	}
	if p.IsNil() {
		return nil, true, true
	}
	return p.Interface().(binaryResult), true, true
}

func (standardCodec) Marshal(v any) ([]byte, error) {
	b, isPointer, ok := binaryOf(v)
	switch {
	case !ok:
		return json.Marshal(v)
	case b == nil:
		return nil, nil
	case !isPointer:
		return b.MarshalBinary()
	}
	data, err := b.MarshalBinary()
	return append([]byte{1}, data...), err // to be told from nil
}

func (standardCodec) Unmarshal(data []byte, v any) error {
	b, isPointer, ok := binaryOf(v)
	switch {
	case !ok:
		return json.Unmarshal(data, v)
	case !isPointer:
		return b.UnmarshalBinary(data)
	case len(data) == 0:
		return nil // and v points to a nil
	}
	p := reflect.ValueOf(v).Elem()
	p.Set(reflect.New(p.Type().Elem()))
	return p.Interface().(binaryResult).UnmarshalBinary(data[1:])
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
	Text []byte   `json:"text"`         // which need not be UTF-8
	Is   []string `json:"is,omitempty"` // names of Config.Errors
}

func encoded(kind byte, payload []byte) Outcome {
	return append(Outcome{outcomeVersion, kind}, payload...)
}

// notReplayable returns the outcome of a call that is done but has nothing to replay.
func notReplayable(why string) Outcome {
	return encoded(kindNotReplayable, []byte(why[:min(len(why), mostWhy)]))
}

// mostWhy is how many bytes of a reason are stored, which may be a text of anybody's.
const mostWhy = 1 << 10

// encode returns the outcome of a call that has returned err, which is nil or says that it is to be stored, and the value that v points to.
func (g *Guard) encode(v any, err error) (o Outcome) {
	// What is called here is the user's. Its panic comes when the effect is there, and must not be a reason to make the call again.
	defer func() {
		if p := recover(); p != nil {
			o = notReplayable(fmt.Sprintf("cannot be encoded: panic: %v", p))
		}
	}()
	kind, payload := byte(kindValue), []byte(nil)
	switch raw, isRaw := v.(*Outcome); {
	case err != nil && judge(err) == unreplayable:
		return notReplayable(err.Error())
	case err != nil:
		kind, payload = kindError, g.marshalError(err)
	case isRaw:
		payload = *raw
	default:
		if payload, err = g.codec.Marshal(v); err != nil {
			return notReplayable(fmt.Sprintf("cannot be encoded: %v", err))
		}
	}
	if len(payload) > g.maxOutcome {
		return notReplayable(fmt.Sprintf("%d bytes, more than MaxOutcome of %d", len(payload), g.maxOutcome))
	}
	return encoded(kind, payload)
}

func (g *Guard) marshalError(err error) []byte {
	stored := storedError{Text: []byte(err.Error())}
	for name, sentinel := range g.errors {
		if errors.Is(err, sentinel) {
			stored.Is = append(stored.Is, name)
		}
	}
	slices.Sort(stored.Is)
	payload, _ := json.Marshal(stored) // of strings, which cannot fail
	return payload
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
		replayed := &replayedError{text: string(stored.Text)}
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
	if raw, ok := v.(*Outcome); ok {
		*raw = slices.Clone(payload)
		return nil
	}
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
func (e *notReplayableError) Is(target error) bool { return target == ErrNotReplayable }

// Unwrap returns the error of the codec, unless that is a rejection: the call was made.
func (e *notReplayableError) Unwrap() error {
	if _, rejected := steady.AsRejection(e.err); rejected {
		return nil
	}
	return e.err
}

// Permanent reports true: it will not come back.
func (e *notReplayableError) Permanent() bool { return true }
