package retry

import (
	"cmp"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/steady-go/steady/internal/check"
)

// BudgetConfig is the configuration of a [Budget]. With the defaults, which are
// about those of the AWS SDKs, 35 retries are free, and after that one retry is
// granted for every 14 calls that succeed: in a lasting partial failure retries
// add 7 % of load at most, in a full outage nothing.
type BudgetConfig struct {
	// Tokens is how many the budget holds, when it is full and at the beginning. 0
	// means 500.
	Tokens int

	// Cost is how many tokens a retry takes; at most Tokens. 0 means 14.
	Cost int

	// Refund is how many tokens a call that succeeds gives back. 0 means 1.
	Refund int
}

// A Budget bounds the retries of all that share it, by a token bucket that is
// filled by success. An attempt that a policy further in refuses costs nothing. It
// is made by [NewBudget] and may be used by several
// goroutines at once. Its zero value bounds nothing, like [NoBudget].
type Budget struct {
	limit, cost, refund int64
	tokens              atomic.Int64
}

// NoBudget as Budget of a [Config] does not bound retries. In an outage they then
// multiply the load.
var NoBudget = &Budget{}

// NewBudget returns a full budget, or an error that names every fault of c.
func NewBudget(c BudgetConfig) (*Budget, error) {
	c.Tokens = cmp.Or(c.Tokens, 500)
	c.Cost = cmp.Or(c.Cost, 14)
	c.Refund = cmp.Or(c.Refund, 1)
	f := check.Config("retry: BudgetConfig")
	f.Require(c.Tokens >= 1 && c.Tokens <= math.MaxInt32, "Tokens", "be between 0 and 2147483647", c.Tokens)
	atMost := fmt.Sprintf("be >= 0 and at most Tokens (%d)", c.Tokens)
	f.Require(c.Cost >= 1 && c.Cost <= c.Tokens, "Cost", atMost, c.Cost)
	f.Require(c.Refund >= 1 && c.Refund <= c.Tokens, "Refund", atMost, c.Refund)
	if err := f.Err(); err != nil {
		return nil, err
	}
	b := &Budget{limit: int64(c.Tokens), cost: int64(c.Cost), refund: int64(c.Refund)}
	b.tokens.Store(b.limit)
	return b, nil
}

// MustNewBudget is like [NewBudget] but panics on an error.
func MustNewBudget(c BudgetConfig) *Budget { return check.Must(NewBudget(c)) }

// BudgetStats is what a [Budget] holds at one moment; all is 0 for [NoBudget].
type BudgetStats struct {
	Tokens  int // left
	Limit   int // when full
	Retries int // that the tokens left would pay for
}

// Stats returns the present state. It is cheap, and safe at any time.
func (b *Budget) Stats() BudgetStats {
	if b.cost == 0 {
		return BudgetStats{}
	}
	n := b.tokens.Load()
	return BudgetStats{Tokens: int(n), Limit: int(b.limit), Retries: int(n / b.cost)}
}

// take pays for one retry, if there are tokens enough.
func (b *Budget) take() bool {
	for {
		n := b.tokens.Load()
		if n < b.cost {
			return false
		}
		if b.tokens.CompareAndSwap(n, n-b.cost) {
			return true
		}
	}
}

// giveBack undoes a take whose retry was not made.
func (b *Budget) giveBack() { b.add(b.cost) }

// succeeded refunds the success of a call.
func (b *Budget) succeeded() { b.add(b.refund) }

// add adds n tokens up to the limit. On a full budget, the usual state, it only
// reads, so that calls that succeed share the line without fighting over it.
func (b *Budget) add(n int64) {
	for {
		have := b.tokens.Load()
		if have >= b.limit || b.tokens.CompareAndSwap(have, min(have+n, b.limit)) {
			return
		}
	}
}
