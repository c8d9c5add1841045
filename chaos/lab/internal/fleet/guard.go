package fleet

import (
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
)

// A Guard is what a client guards its requests with. Each client makes policies of
// its own of it.
type Guard struct {
	Attempts int           // of a request, each at another node
	Limit    time.Duration // of an attempt
	Abandon  bool          // the timeout leaves calls that ignore their context
	Leave    int           // its MaxAbandoned; 0: the default

	Budget  *retry.Budget        // nil: the default, one for each client
	Breaker *breaker.GroupConfig // nil: none, and nodes are picked at random
	Hook    steady.Hook          // of the breaker, which is what refuses calls
}

// Library is this library with its defaults: a retry, with its budget; a breaker for each
// node, of peers, by which nodes are picked; a timeout for each attempt.
func Library(attempts int, limit time.Duration) Guard {
	g := RetryAlone(attempts, limit)
	g.Breaker = &breaker.GroupConfig{Peers: &breaker.Peers{}}
	return g
}

// PlainBreakers is [Library] with breakers that know nothing of each other.
func PlainBreakers(attempts int, limit time.Duration) Guard {
	g := RetryAlone(attempts, limit)
	g.Breaker = &breaker.GroupConfig{}
	return g
}

// RetryAlone is a retry with its defaults, and a timeout for each attempt.
func RetryAlone(attempts int, limit time.Duration) Guard {
	return Guard{Attempts: attempts, Limit: limit}
}

// Unbounded is a retry without a budget, and a timeout for each attempt: what most
// clients are.
func Unbounded(attempts int, limit time.Duration) Guard {
	return Guard{Attempts: attempts, Limit: limit, Budget: retry.NoBudget}
}

// None is a timeout and nothing else.
func None(limit time.Duration) Guard { return Guard{Attempts: 1, Limit: limit} }
