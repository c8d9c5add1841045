package chaos

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// RoundTripper returns an [http.RoundTripper] that sends requests by next, with the
// injector's faults. nil means [http.DefaultTransport]. key tells where a request goes, and is asked only while the
// injector is armed; nil means what Config.Key says of its context.
//
// A request counts as one Do. Injected errors come back as those of a transport do: with no
// response, and with the body of the request closed, whether it was sent or not. When a reply is
// lost the response's body has been closed. [SlowBody] and [CutBody] count when the response
// comes; they leave alone a response that has no body, and a connection that was
// upgraded. Closing a body always works, and ends a read that waits.
func (i *Injector) RoundTripper(next http.RoundTripper, key func(*http.Request) string) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{i, next, key}
}

type transport struct {
	injector *Injector
	next     http.RoundTripper
	key      func(*http.Request) string
}

// A reply is the response to a request, once it has come.
type reply struct{ response *http.Response }

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.injector.plan.Load() == nil && t.injector.hook == nil && req.Context().Err() == nil {
		return t.next.RoundTrip(req)
	}
	sent := false
	defer func() {
		if !sent && req.Body != nil {
			_ = req.Body.Close()
		}
	}()
	c := passage{ctx: req.Context(), site: inHTTP, reply: &reply{}}
	if t.key != nil && t.injector.plan.Load() != nil {
		c.key, c.keyed = t.key(req), true
	}
	err := t.injector.through(c, func(context.Context) (err error) {
		sent = true
		c.reply.response, err = t.next.RoundTrip(req)
		return err
	})
	response := c.reply.response
	if err != nil && response != nil {
		if response.Body != nil {
			_ = response.Body.Close()
		}
		return nil, err
	}
	return response, err
}

// CloseIdleConnections does what it says for next, as [http.Client.CloseIdleConnections]
// asks of its transport.
func (t *transport) CloseIdleConnections() {
	if next, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// spoil makes the call, and then lets the body of its response drip or end early.
func (c *passage) spoil(r *rule, call func(context.Context) error) error {
	if err := call(c.ctx); err != nil {
		return err
	}
	if response := c.reply.response; hasBody(response, r.effect) && c.plan.takes(r) {
		c.tell(r, 0, nil)
		response.Body = &body{
			ReadCloser: response.Body, ctx: c.ctx, plan: c.plan, rule: r, key: c.key,
			left: r.effect.bytes, closed: make(chan struct{}),
		}
	}
	return nil
}

// hasBody reports whether the response has a body that the effect can be applied to.
func hasBody(r *http.Response, e Effect) bool {
	switch {
	case r.Body == nil, r.Body == http.NoBody, r.StatusCode == http.StatusSwitchingProtocols:
		return false
	case e.kind == cutBody:
		return r.ContentLength < 0 || r.ContentLength > int64(e.bytes)
	}
	return r.ContentLength != 0
}

// A body is one that drips, or is cut off.
type body struct {
	io.ReadCloser
	ctx  context.Context // of the request
	plan *plan
	rule *rule
	key  string
	left int // bytes, until it is cut off
	pace pace

	once   sync.Once
	closed chan struct{}
}

// Read reads as much as may pass.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0 || b.plan.over() != "":
		return b.ReadCloser.Read(p)
	case b.rule.effect.kind == slowBody:
		return b.drip(p)
	case b.left == 0:
		return 0, b.fail(io.ErrUnexpectedEOF)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// drip reads a little, and lets the time pass that it takes.
func (b *body) drip(p []byte) (int, error) {
	perSecond := b.rule.effect.bytes
	n, err := b.ReadCloser.Read(p[:min(len(p), portion(perSecond))])
	if n > 0 {
		how := b.plan.wait(b.pace.reserve(n, perSecond), b.ctx.Done(), b.closed)
		if how == second {
			return 0, http.ErrBodyReadAfterClose
		}
		if err := gone(b.ctx); err != nil {
			return 0, b.fail(err)
		}
	}
	return n, err
}

func (b *body) fail(cause error) error {
	return &InjectedError{Fault: b.rule.name, Key: b.key, Err: cause}
}

// Close ends a read that waits, and closes the body.
func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}
