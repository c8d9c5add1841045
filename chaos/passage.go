package chaos

import (
	"context"
	"runtime"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/deadline"
	"github.com/steady-go/steady/internal/report"
)

// A passage is one call on its way through the faults. The func that makes the call is
// not part of it, but handed on beside it: in a struct it would escape to the heap.
type passage struct {
	ctx   context.Context
	site  site
	key   string
	keyed bool   // key is set, whatever it is
	reply *reply // of the call, in a RoundTripper

	injector *Injector
	plan     *plan
	at       time.Duration // since arming
}

// through makes a call, through what is in force, and reports its end.
func (i *Injector) through(c passage, call func(context.Context) error) (err error) {
	c.injector = i
	var r report.Reporter
	r.Init(i.hook, "chaos", i.name, c.key)
	defer func() { i.panics.Add(r.Panics()) }()
	if c.ctx.Err() != nil {
		return r.ContextDone(c.ctx, 0)
	}
	start := r.Start()
	returned := false
	defer func() { r.Done(c.ctx, steady.Classifier{}, start, 0, returned, err) }()
	if c.plan = i.current(c.ctx); c.plan == nil {
		err = call(c.ctx)
	} else {
		c.plan.calls.Add(1)
		if !c.keyed && i.key != nil {
			c.key = i.key(c.ctx)
			r.Init(i.hook, "chaos", i.name, c.key)
		}
		err = c.walk(call)
	}
	returned = true
	return err
}

// walk goes through the faults, in order, and makes the call unless one of them takes
// its place.
func (c *passage) walk(call func(context.Context) error) error {
	c.at = c.plan.elapsed()
	token := c.token()
	if token != nil {
		c.site |= inValue
	}
	for n := range c.injector.rules {
		r := &c.injector.rules[n]
		nth, hit := c.plan.draws(c.ctx, r, c.site, c.key, c.at)
		if !hit {
			continue
		}
		switch r.effect.kind {
		case latency:
			if !c.plan.takes(r) {
				continue
			}
			if err := c.delay(r, nth, nil); err != nil {
				return err
			}
			c.at = c.plan.elapsed()
		case lostReply:
			return c.lose(r, call)
		case corrupt:
			return call(token.mark(c, r))
		case slowBody, cutBody:
			return c.spoil(r, call)
		default:
			if c.plan.takes(r) {
				return c.replace(r, nth)
			}
		}
	}
	return call(c.ctx)
}

// delay lets an injected delay pass. It returns an error if the context ended before.
func (c *passage) delay(r *rule, nth uint64, tell error) error {
	d := r.effect.delay.At(r.delay.of(c.ctx, c.key, nth))
	c.tell(r, d, tell)
	c.plan.wait(d, c.ctx.Done(), nil)
	if err := gone(c.ctx); err != nil {
		return c.fail(r, err)
	}
	return nil
}

// replace does what is done in place of the call.
func (c *passage) replace(r *rule, nth uint64) error {
	switch r.effect.kind {
	case lateFailure:
		err := c.fail(r, r.effect.err)
		if ended := c.delay(r, nth, err); ended != nil {
			return ended
		}
		return err
	case panicking:
		err, _ := r.effect.value.(error)
		c.tell(r, 0, err)
		panic(r.effect.value)
	case exit:
		c.tell(r, 0, nil)
		runtime.Goexit()
	case hang:
		c.hang(r, c.ctx.Done())
		return c.fail(r, gone(c.ctx))
	case deafHang:
		c.hang(r, nil)
		return c.fail(r, gone(c.ctx))
	}
	err := c.fail(r, r.effect.err)
	c.tell(r, 0, err)
	return err
}

// gone returns the error of a context that is done, or is to be at this very instant: which
// of two timers comes first then is chance, and must not decide whether a call is made.
func gone(ctx context.Context) error {
	if err := steady.ContextErr(ctx); err != nil {
		return err
	}
	if deadline.Passed(ctx) {
		return context.DeadlineExceeded
	}
	return nil
}

// hang waits for done or the end of the plan.
func (c *passage) hang(r *rule, done <-chan struct{}) {
	c.injector.hanging.Add(1)
	defer c.injector.hanging.Add(-1)
	c.tell(r, 0, nil)
	c.plan.wait(forever, done, nil)
}

// lose makes the call and loses its reply.
func (c *passage) lose(r *rule, call func(context.Context) error) error {
	if err := call(c.ctx); err != nil || !c.plan.takes(r) {
		return err
	}
	err := c.fail(r, r.effect.err)
	c.tell(r, 0, err)
	return err
}

// fail returns the error of an injected fault.
func (c *passage) fail(r *rule, cause error) error {
	return &InjectedError{Fault: r.name, Key: c.key, Err: cause}
}

// tell reports an injection.
func (c *passage) tell(r *rule, delay time.Duration, err error) {
	c.injector.tell(c.ctx, c.key, r, delay, err)
}

// tell reports an injection into a call that goes to key.
func (i *Injector) tell(ctx context.Context, key string, r *rule, delay time.Duration, err error) {
	i.emit(ctx, key, steady.Event{
		Kind: steady.KindInjected, Reason: r.name, To: r.effect.kind.String(), Delay: delay, Err: err,
	})
}
