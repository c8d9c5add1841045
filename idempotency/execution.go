package idempotency

import "context"

// An Execution is one attempt at the call of a key.
type Execution struct {
	Key       string // as the store knows it: 64 hex characters
	Token     string // of this execution
	Fence     uint64 // grows with each execution of the key: let what is written refuse a lower one than it has seen
	Attempt   int    // how often the key was claimed, this time included
	Recovered bool   // an earlier execution may have had its effect, or a part of it

	guard *Guard
	outer *Execution // whose call has begun this one
}

// DownstreamKey returns the key to hand on to another system for one step of the call. It is the same in each attempt. It panics for
// the zero Execution, whose key would be the same for everybody: see whether [FromContext] reports one.
func (e Execution) DownstreamKey(step string) string {
	if e.Key == "" {
		panic("idempotency: DownstreamKey of no execution")
	}
	return digest(Join(e.Key, step))
}

// Finish stores v, which the call is to return, as its value before it returns, in a store that is bound to a transaction, such as that of
// contrib/sql: the outcome is there if and only if the data is that the transaction changes. It returns [ErrLost], and the transaction must be rolled
// back, when somebody else has claimed the key. v must be of the type that the call returns: so it is of no use in a handler under package httpidempotency, whose response
// it cannot know. It panics for an execution of no guard.
func Finish[T any](ctx context.Context, e Execution, in Store, v T) error {
	if e.guard == nil {
		panic("idempotency: Finish of no execution")
	}
	return in.Finish(ctx, e.Key, e.Token, e.guard.encode(&v, nil), e.guard.keep)
}

type executionKey struct{}

// FromContext returns the execution that ctx belongs to, and false if it belongs to none.
func FromContext(ctx context.Context) (Execution, bool) {
	e, ok := ctx.Value(executionKey{}).(Execution)
	return e, ok
}

// Holds reports whether ctx is that of an execution of key by this guard, or of one within it: a Do of that key would wait for itself.
func (g *Guard) Holds(ctx context.Context, key string) bool {
	return g.holds(ctx, g.keyOf(key))
}

func (g *Guard) holds(ctx context.Context, key string) bool {
	innermost, ok := FromContext(ctx)
	if !ok {
		return false
	}
	for e := &innermost; e != nil; e = e.outer {
		if e.guard == g && e.Key == key {
			return true
		}
	}
	return false
}

// Unguarded returns a context for who makes the call of a key without the guard, since its store is down. [FromContext] finds an execution in it, whose
// DownstreamKey is the same as always, and whose Recovered is true, since nobody can tell.
func (g *Guard) Unguarded(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, executionKey{}, Execution{Key: g.keyOf(key), Recovered: true, outer: outerOf(ctx)})
}

// outerOf returns the execution that ctx belongs to, or nil.
func outerOf(ctx context.Context) *Execution {
	if e, ok := FromContext(ctx); ok {
		return &e
	}
	return nil
}
