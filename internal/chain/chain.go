// Package chain hands the rest of a pipeline from one policy to the next
// without allocating.
//
// A policy's Do takes a func. If a chain made one func for each of its policies
// on every call, a chain of four would allocate three. Instead it hands on a
// [Next] by value, and each policy turns that into a func where it needs one:
//
//	func (p *Policy) DoNext(ctx context.Context, next chain.Next) error {
//		return p.Do(ctx, next.Do)
//	}
//
// Because p.Do is called statically and does not keep its func, the compiler
// leaves the method value on the stack.
package chain

import "context"

// A Step is a policy that takes the rest of the chain by value. DoNext must
// behave as Do with next.Do.
type Step interface {
	DoNext(ctx context.Context, next Next) error
}

// Next is the rest of a chain: the policies still to go through and the call
// behind them. It is immutable.
type Next struct {
	steps []Step
	call  func(context.Context) error
}

// New returns a chain of steps, outermost first, around call.
func New(steps []Step, call func(context.Context) error) Next {
	return Next{steps, call}
}

// Do runs the rest of the chain.
func (n Next) Do(ctx context.Context) error {
	if len(n.steps) == 0 {
		return n.call(ctx)
	}
	return n.steps[0].DoNext(ctx, Next{n.steps[1:], n.call})
}
