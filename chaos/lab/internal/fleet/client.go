package fleet

import (
	"context"
	"slices"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// A Client is one process that calls a fleet. It shares nothing with others, and may be
// used by several goroutines at once.
type Client struct {
	fleet   *Fleet
	retry   *retry.Retry
	breaker *breaker.Group // nil: none
	timeout *timeout.Timeout
}

// Client returns a new client of f.
func (f *Fleet) Client(g Guard) *Client {
	c := &Client{
		fleet:   f,
		retry:   retry.MustNew(retry.Config{Attempts: g.Attempts, Budget: g.Budget}),
		timeout: timeout.MustNew(timeout.Config{Limit: g.Limit, Abandon: g.Abandon, MaxAbandoned: g.Leave}),
	}
	if g.Breaker != nil {
		config := *g.Breaker
		config.Hook = g.Hook
		c.breaker = breaker.MustNewGroup(config)
	}
	return c
}

// Do makes one request.
func (c *Client) Do(ctx context.Context) error {
	var tried []string
	return c.retry.Do(ctx, func(ctx context.Context) error {
		if c.breaker == nil {
			node := c.pick(ctx, tried)
			tried = append(tried, node)
			return c.attempt(ctx, node)
		}
		node, permit, err := c.breaker.Pick(ctx, c.fleet.names, tried)
		if err != nil {
			return err
		}
		tried = append(tried, node)
		return permit.Do(ctx, func(ctx context.Context) error { return c.attempt(ctx, node) })
	})
}

func (c *Client) attempt(ctx context.Context, node string) error {
	return c.timeout.Do(ctx, func(ctx context.Context) error { return c.fleet.Call(ctx, node) })
}

// pick draws one of the nodes that have not been tried.
func (c *Client) pick(ctx context.Context, tried []string) string {
	skip := int(steady.Random(ctx, "fleet.pick", uint64(steady.Attempt(ctx))) * float64(len(c.fleet.names)-len(tried)))
	for _, name := range c.fleet.names {
		if slices.Contains(tried, name) {
			continue
		}
		if skip == 0 {
			return name
		}
		skip--
	}
	panic("fleet: more attempts than nodes")
}

// Open returns how many nodes the client's breakers keep calls from.
func (c *Client) Open() int {
	if c.breaker == nil {
		return 0
	}
	n := 0
	for _, m := range c.breaker.Stats().Members {
		if m.State != breaker.Closed {
			n++
		}
	}
	return n
}
