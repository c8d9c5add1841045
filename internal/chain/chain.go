// Package chain hands the rest of a pipeline from one policy to the next
// without allocating.
//
// A policy's Do takes a func. If a chain made one func for each of its policies
// on every call, a chain of four would allocate three. Instead it hands on a
// [Next] by value, and each policy turns that into a func where it needs one:
//
//	func (p *Policy) Link() chain.Link { return chain.Link{Of: p, Do: p.doNext} }
//
//	func (p *Policy) doNext(ctx context.Context, next chain.Next) error {
//		return p.Do(ctx, next.Do)
//	}
//
// Because p.Do is called statically and does not keep its func, the compiler
// leaves the method value on the stack.
package chain

import "context"

// A Link is a policy that takes the rest of the chain by value.
type Link struct {
	// Of is the policy. It tells a policy from a type that embeds one and has a Do of
	// its own, to which Link is promoted all the same.
	Of any

	// Do must behave as the policy's Do with next.Do.
	Do func(ctx context.Context, next Next) error
}

// A Chain is links, outermost first. Behind those that it was made of stands one
// that makes the call, so that Next.Do need not ask whether it is the last: it is then
// small enough for the compiler to put it in its caller's place, and a chain goes less
// deep. Processors remember a few dozen returns only.
type Chain []Link

// Of returns a chain of links.
func Of(links []Link) Chain {
	return append(links[:len(links):len(links)], Link{Do: func(ctx context.Context, next Next) error {
		return next.call(ctx)
	}})
}

// Links returns what the chain was made of.
func (c Chain) Links() []Link { return c[:len(c)-1] }

// Around returns the whole chain, around call.
func (c Chain) Around(call func(context.Context) error) Next { return Next{c, call} }

// Next is the rest of a chain: the policies still to go through and the call
// behind them. It is immutable.
type Next struct {
	links []Link
	call  func(context.Context) error
}

// Do runs the rest of the chain.
func (n Next) Do(ctx context.Context) error {
	return n.links[0].Do(ctx, Next{n.links[1:], n.call})
}
