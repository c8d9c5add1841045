package chaos

import (
	"context"

	"github.com/steady-go/steady"
)

// DoValue is [steady.DoValue] for calls whose result a [Corrupt] fault may change: the
// result of a successful call that is hit is replaced by what corrupt makes of it. p is an
// injector, what its At returns, or a chain with one in it. If corrupt is nil, nothing is
// corrupted.
//
// A reply that is lost (see [LoseReply]) takes its value with it.
//
// While p is an injector that is not armed it costs what [steady.DoValue] does.
func DoValue[T any](ctx context.Context, p steady.Policy, call func(context.Context) (T, error), corrupt func(T) T) (T, error) {
	if corrupt == nil || unarmed(p) {
		return steady.DoValue(ctx, p, call)
	}
	own := new(token)
	ctx = context.WithValue(ctx, tokenKey{}, own)
	return steady.DoValue(ctx, p, func(ctx context.Context) (T, error) {
		v, err := call(ctx)
		if m, ok := ctx.Value(markKey{}).(*mark); ok && err == nil && m.token == own && m.takes(ctx) {
			v = corrupt(v)
		}
		return v, err
	})
}

// unarmed reports whether p is known to corrupt nothing.
func unarmed(p steady.Policy) bool {
	switch p := p.(type) {
	case *Injector:
		return p.plan.Load() == nil
	case *keyed:
		return p.injector.plan.Load() == nil
	}
	return false
}

type (
	tokenKey struct{}
	markKey  struct{}
)

// A token stands for one DoValue in the contexts of its calls. It has a size, so that no two
// have the same address.
type token struct{ _ byte }

// A mark in the context of a call says that its result is to be corrupted.
type mark struct {
	token    *token
	injector *Injector
	plan     *plan
	rule     *rule
	key      string
}

// token returns that of the DoValue around the call, if a result might be corrupted.
func (c *passage) token() *token {
	if !c.injector.corrupts || c.site != inDo {
		return nil
	}
	t, _ := c.ctx.Value(tokenKey{}).(*token)
	return t
}

// mark returns the context of a call whose result is to be corrupted.
func (t *token) mark(c *passage, r *rule) context.Context {
	return context.WithValue(c.ctx, markKey{}, &mark{
		token: t, injector: c.injector, plan: c.plan, rule: r, key: c.key,
	})
}

// takes counts and reports the corruption, unless it must not be any more.
func (m *mark) takes(ctx context.Context) bool {
	if !m.plan.takes(m.rule) {
		return false
	}
	m.injector.tell(ctx, m.key, m.rule, 0, nil)
	return true
}
