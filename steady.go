// Package steady is the vocabulary that the policies of this module share.
//
// A [Policy] guards a call, which is any func(context.Context) error: a circuit
// breaker refuses it, a bulkhead bounds how many run at once, a retry repeats
// it, a timeout ends it. Each policy lives in a package of its own and works
// alone. [Chain] composes several of them, [Wrap] binds a chain to one fixed
// call, and [DoValue] carries a result through.
//
// All of them report through one interface, [Hook], and judge the end of a call
// by the same three words: [Success], [Failure] and [Ignored]. [Classifier]
// documents the rules.
//
// # Order
//
// Recommended order, outermost first:
//
//	operation → cache → idempotency → total timeout → bulkhead → retry → breaker → attempt timeout → call
//
// so that what is at hand passes no guard of its origin, all attempts are one execution, a call waits in the bulkhead only once, each attempt has its own
// deadline, and the breaker counts attempts, their timeouts included.
package steady

import (
	"context"
	"fmt"

	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
)

// A Policy guards calls.
//
// Do runs call under the policy and returns its error, or returns an error of
// its own, a [Rejection], without having started it. A policy may run call more
// than once, at once on several goroutines, or leave it running when it
// returns: which of these it does is written on it.
//
// The policies of this module may be used by several goroutines at once. When
// call panics or ends its goroutine with [runtime.Goexit], they give back all
// that they hold, count a failure, and let the panic go on with its original
// value. When ctx is done on entry they do not start call and return
// [ContextErr].
type Policy interface {
	Do(ctx context.Context, call func(context.Context) error) error
}

// Chain composes policies into one. The first is outermost: Chain(a, b).Do(ctx,
// call) is a around b around call. Without policies it just makes the call.
//
// A chain of this module's policies adds no allocation to a call. One that holds
// a policy from elsewhere adds one for each such policy.
//
// Chain panics if a policy is nil: a guard that is silently missing is worse.
func Chain(policies ...Policy) Policy {
	return pipeline(chain.Of(links("Chain", policies)))
}

// Wrap composes policies around one fixed call, like [Chain], once. The result
// may be used by several goroutines at once if call may be.
//
// Wrap panics if call or a policy is nil.
func Wrap(call func(context.Context) error, policies ...Policy) func(context.Context) error {
	if call == nil {
		panic("steady: Wrap: call is nil")
	}
	return chain.Of(links("Wrap", policies)).Around(call).Do
}

// pipeline is a chain of policies, outermost first.
type pipeline chain.Chain

func (p pipeline) Do(ctx context.Context, call func(context.Context) error) error {
	return chain.Chain(p).Around(call).Do(ctx)
}

// links prepares policies for [chain.Next]. A chain among them is unfolded.
func links(caller string, policies []Policy) []chain.Link {
	out := make([]chain.Link, 0, len(policies))
	for i, p := range policies {
		if check.IsNil(p) {
			panic(fmt.Sprintf("steady: %s: policy %d of %d is nil", caller, i+1, len(policies)))
		}
		if p, ok := p.(pipeline); ok {
			out = append(out, chain.Chain(p).Links()...)
			continue
		}
		out = append(out, link(p))
	}
	return out
}

// link returns the link that p has to offer, unless that is of another policy,
// which p embeds. A policy that knows nothing of chains gets the rest of the
// chain as a func, which costs the allocation that Chain documents.
func link(p Policy) chain.Link {
	if linked, ok := p.(interface{ Link() chain.Link }); ok {
		if l := linked.Link(); l.Of == any(p) {
			return l
		}
	}
	return chain.Link{Of: p, Do: func(ctx context.Context, next chain.Next) error {
		return p.Do(ctx, next.Do)
	}}
}
