package steady

import (
	"context"
	"math/rand/v2"
)

type (
	attemptKey struct{}
	sourceKey  struct{}
)

// ContextWithAttempt returns a context that tells the call which attempt it is,
// counted from 1. Policies that repeat calls use it from the second attempt on;
// the first carries no mark.
func ContextWithAttempt(ctx context.Context, attempt int) context.Context {
	return context.WithValue(ctx, attemptKey{}, attempt)
}

// Attempt returns the attempt that ctx belongs to: 1 for the first and wherever
// nothing repeats calls. Under several nested policies it is that of the
// innermost one that made a second attempt.
func Attempt(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}

// A Source is a source of random numbers that gives the same number for the same
// key, so that an experiment can be repeated whatever the order in which its
// goroutines run. Policies use the same keys for every call, so each call needs a
// source of its own, made from the call's number, for example: with one source for
// all they would all draw the same. It may be used by several goroutines at once.
type Source interface {
	// Float64 returns a number in [0, 1) that depends on the key and n alone.
	Float64(key string, n uint64) float64
}

// ContextWithSource returns a context whose random draws come from s.
func ContextWithSource(ctx context.Context, s Source) context.Context {
	return context.WithValue(ctx, sourceKey{}, s)
}

// SourceOf returns the source that ctx carries, and false if it carries none.
func SourceOf(ctx context.Context) (Source, bool) {
	s, ok := ctx.Value(sourceKey{}).(Source)
	return s, ok
}

// Random returns a number in [0, 1): from ctx's [Source], under key and n, when
// it carries one, otherwise from [math/rand/v2]. Every random decision of a
// policy is made with it.
func Random(ctx context.Context, key string, n uint64) float64 {
	if s, ok := SourceOf(ctx); ok {
		return s.Float64(key, n)
	}
	return rand.Float64()
}
